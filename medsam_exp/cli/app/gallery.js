// The images of a tab; props.value is a message as JSON, see service.py.
const strip = element.querySelector(".mx-strip"), thumbs = strip.querySelector(".mx-thumbs");
let count = 0, place = 0;

function thumbnail(item, number) {
  const line = document.createElement("li"), button = document.createElement("button"), picture = document.createElement("img");
  button.type = "button";
  button.title = item.name;
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
  const message = JSON.parse(text), focused = Array.from(thumbs.children).findIndex((line) => line.contains(document.activeElement));
  count = message.items.length;
  place = message.place;
  strip.querySelector(".mx-place").textContent = place + 1 + " of " + count;
  strip.querySelector("[data-zip]").disabled = !message.masks;
  thumbs.replaceChildren(...message.items.map(thumbnail));
  if (focused >= 0 && thumbs.children[focused]) thumbs.children[focused].firstChild.focus();
  thumbs.scrollLeft = thumbs.children[place].offsetLeft - thumbs.offsetLeft - thumbs.clientWidth / 2;
  if (message.zip) {
    const link = document.createElement("a");
    link.href = message.zip;
    link.download = "masks.zip";
    link.click();
  }
}

for (const button of strip.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => trigger("select", { place: (place + Number(button.dataset.step) + count) % count }));
}
strip.querySelector("[data-run]").addEventListener("click", () => trigger("submit", {}));
strip.querySelector("[data-zip]").addEventListener("click", () => trigger("release", {}));
watch("value", () => show(props.value));
show(props.value);
