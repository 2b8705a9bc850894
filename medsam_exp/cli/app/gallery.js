// The images of a tab; props.value is a message as JSON, see service.py.
const strip = element.querySelector(".mx-strip"), thumbs = strip.querySelector(".mx-thumbs");
const run = strip.querySelector("[data-run]"), stop = strip.querySelector("[data-stop]");
let count = 0, place = 0;

function thumbnail(item, number) {
  const line = document.createElement("li"), button = document.createElement("button"), picture = document.createElement("img");
  button.type = "button";
  button.title = item.name;
  button.tabIndex = number === place ? 0 : -1; // Tab comes to the strip once, arrow keys go along it
  if (number === place) button.setAttribute("aria-current", "true");
  picture.src = item.image;
  picture.alt = item.name;
  const found = document.createElement("small");
  found.textContent = item.found;
  button.append(picture, found);
  button.addEventListener("click", () => trigger("select", { place: number }));
  line.append(button);
  return line;
}

function show(text) {
  strip.classList.toggle("mx-none", !text);
  if (!text) return;
  const message = JSON.parse(text), focused = document.activeElement;
  const inside = thumbs.contains(focused);
  count = message.items.length;
  place = message.place;
  strip.querySelector(".mx-place").textContent = place + 1 + " of " + count;
  strip.querySelector("[data-zip]").disabled = !message.masks;
  run.disabled = message.running;
  stop.disabled = !message.running;
  if (focused === run && message.running) stop.focus(); // a disabled button would lose the focus to the page
  if (focused === stop && !message.running) run.focus();
  thumbs.replaceChildren(...message.items.map(thumbnail));
  if (inside) thumbs.children[place].firstChild.focus();
  thumbs.scrollLeft = thumbs.children[place].offsetLeft - thumbs.offsetLeft - thumbs.clientWidth / 2;
  if (message.zip) {
    const link = document.createElement("a");
    link.href = message.zip;
    link.download = "masks.zip";
    link.click();
  }
}

function go(to) {
  trigger("select", { place: (to + count) % count });
}

for (const button of strip.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => go(place + Number(button.dataset.step)));
}
thumbs.addEventListener("keydown", (event) => {
  const to = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: count - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  go(to);
});
run.addEventListener("click", () => trigger("submit", {}));
stop.addEventListener("click", () => trigger("stop", {}));
strip.querySelector("[data-zip]").addEventListener("click", () => trigger("release", {}));
watch("value", () => show(props.value));
show(props.value);
