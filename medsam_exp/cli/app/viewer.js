// Layers of one answer over its image, and the tools that correct it. Gradio calls this with
// (element, trigger, props, server, upload, watch); props.value is a message as JSON, see view.py.
const root = element.querySelector(".mx-viewer");
if (element.closest("#mx-second")) root.setAttribute("aria-label", "Image and what was found by the second text");
const find = (selector) => root.querySelector(selector);
const all = (selector) => Array.from(root.querySelectorAll(selector));
const stage = find(".mx-stage"), image = find(".mx-image"), heat = find(".mx-heat"), lines = find(".mx-lines");
const frame = find(".mx-window-frame");
const SVG = "http://www.w3.org/2000/svg";
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129],
  [92, 200, 99], [170, 220, 50], [253, 231, 37]];
let shown = null;        // the last message, with image and map of the last one that had them
let saliency = null;     // {width, height, values} of the map, 0 to 255
let actions = [];        // what was clicked and drawn since the pipeline's own answer
let zoom = 1, left = 0, top_ = 0, grip = null, pans = false;  // how the stage lies in its frame, in shares of the frame
let tool = "add", corner = null, dragged = null, cross = null, moving = false;

const opacity = () => Number(find("[data-slider=opacity]").value);
const threshold = () => Number(find("[data-slider=threshold]").value);
const visible = (layer) => find("[data-layer=" + layer + "]").checked;
const say = (text) => { find(".mx-said").textContent = text; };

function draw(tag, attributes) {
  const part = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value);
  lines.appendChild(part);
  return part;
}

function drawLine(path, colour, width, dashes) {
  const line = { d: path, fill: "none", "vector-effect": "non-scaling-stroke", "stroke-linejoin": "round" };
  draw("path", { ...line, stroke: "#000", "stroke-width": width + 1.6, "stroke-opacity": 0.75 });
  draw("path", { ...line, stroke: colour, "stroke-width": width, "stroke-dasharray": dashes || "none" });
}

function boxPath(box) {
  const [x0, y0, x1, y1] = box;
  return "M" + x0 + " " + y0 + "H" + x1 + "V" + y1 + "H" + x0 + "z";
}

function drawPoint(x, y, label, own) {
  const unit = shown.width / Math.max(stage.clientWidth, 1), size = (own ? 7 : 5) * unit;
  const cx = x + 0.5, cy = y + 0.5;
  const path = label
    ? "M" + (cx - size) + " " + cy + "H" + (cx + size) + "M" + cx + " " + (cy - size) + "V" + (cy + size)
    : "M" + (cx - size) + " " + (cy - size) + "l" + 2 * size + " " + 2 * size + "M" + (cx - size) + " " + (cy + size) +
      "l" + 2 * size + " " + -2 * size;
  drawLine(path, label ? "#2BE3A6" : "#FF6A5C", own ? 3 : 2);
}

function drawLines() {
  lines.replaceChildren();
  if (!shown) return;
  lines.setAttribute("viewBox", "0 0 " + shown.width + " " + shown.height);
  if (visible("mask") && shown.mask) {
    draw("path", { d: shown.mask, fill: "#E69F00", "fill-rule": "evenodd", "fill-opacity": 0.7 * opacity() });
    drawLine(shown.mask, "#E69F00", 2.2);
  }
  if (visible("coarse") && shown.coarse && !moving) drawLine(shown.coarse, "#56B4E9", 1.8, "6 3");
  if (visible("rival") && shown.rival) drawLine(shown.rival, "#CC4C86", 2.2, "8 4");
  if (visible("prompts")) {
    for (const box of shown.boxes) drawLine(boxPath(box), "#F0E442", 1.4);
    for (const [x, y, label] of shown.points) drawPoint(x, y, label, false);
    for (const action of actions) {
      if (action.box) drawLine(boxPath(action.box), "#F0E442", 2.2);
      else drawPoint(action.point[0], action.point[1], action.point[2], true);
    }
  }
  if (dragged) drawLine(boxPath(dragged), "#FFFFFF", 1.4, "4 3");
  if (cross && document.activeElement === stage) {
    drawLine("M" + cross[0] + " 0V" + shown.height + "M0 " + cross[1] + "H" + shown.width, "#FFFFFF", 0.7);
  }
}

function drawHeat() {
  const context = heat.getContext("2d");
  if (!saliency) { context.clearRect(0, 0, heat.width, heat.height); return; }
  const { width, height, values } = saliency, picture = context.createImageData(width, height);
  const strength = visible("saliency") ? opacity() : 0, cut = threshold() * 255, preview = moving && visible("coarse");
  for (let place = 0; place < values.length; place++) {
    const value = values[place], position = (value / 255) * (VIRIDIS.length - 1);
    const low = Math.min(Math.floor(position), VIRIDIS.length - 2), share = position - low;
    const inside = preview && value > cut;
    for (let channel = 0; channel < 3; channel++) {
      const colour = VIRIDIS[low][channel] + share * (VIRIDIS[low + 1][channel] - VIRIDIS[low][channel]);
      picture.data[4 * place + channel] = inside ? [86, 180, 233][channel] : colour;
    }
    picture.data[4 * place + 3] = inside ? 150 : 255 * strength * Math.min(1, 1.3 * (value / 255));
  }
  context.putImageData(picture, 0, 0);
}

function redraw() { drawHeat(); drawLines(); }

async function loadMap(address) {
  saliency = null;
  if (!address) return;
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  const copy = document.createElement("canvas");
  copy.width = heat.width = picture.naturalWidth;
  copy.height = heat.height = picture.naturalHeight;
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const pixels = context.getImageData(0, 0, copy.width, copy.height).data;
  const values = new Uint8Array(pixels.length / 4);
  for (let place = 0; place < values.length; place++) values[place] = pixels[4 * place];
  saliency = { width: heat.width, height: heat.height, values };
}

function showFacts(facts) {
  find(".mx-facts").replaceChildren();
  for (const [name, value, note] of facts) {
    const item = document.createElement("div"), term = document.createElement("dt"), said = document.createElement("dd");
    term.textContent = name;
    said.textContent = value;
    if (note) { const small = document.createElement("small"); small.textContent = note; said.appendChild(small); }
    item.append(term, said);
    find(".mx-facts").appendChild(item);
  }
}

function showButtons() {
  const answered = Boolean(shown && shown.answered);
  root.classList.toggle("mx-bare", !shown);
  root.classList.toggle("mx-unanswered", !answered);
  for (const button of all("button[data-tool]")) {
    button.disabled = !answered || (!shown.takes_points && button.dataset.tool !== "box");
    button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  }
  find("[data-do=undo]").disabled = find("[data-do=clear]").disabled = !actions.length;
  find("[data-slider=threshold]").disabled = !answered;
  stage.dataset.tool = answered ? tool : "";
}

const LARGEST = 12;

function layOut() {
  left = Math.min(Math.max(left, 0), zoom - 1);
  top_ = Math.min(Math.max(top_, 0), zoom - 1);
  stage.style.width = stage.style.height = 100 * zoom + "%";
  stage.style.left = -100 * left + "%";
  stage.style.top = -100 * top_ + "%";
  find(".mx-scale").textContent = Math.round(100 * zoom) + " %";
  find("[data-do=farther]").disabled = find("[data-do=fit]").disabled = find("[data-do=pan]").disabled = zoom === 1;
  if (zoom === 1) pans = false;
  find("[data-do=pan]").setAttribute("aria-pressed", String(pans));
  stage.classList.toggle("mx-pans", pans);
}

function zoomBy(factor, x = 0.5, y = 0.5) {
  const before = zoom;
  zoom = Math.min(Math.max(zoom * factor, 1), LARGEST);
  left = (left + x) * (zoom / before) - x;
  top_ = (top_ + y) * (zoom / before) - y;
  layOut();
  drawLines();
}

function fit() { zoom = 1; left = top_ = 0; layOut(); drawLines(); }

function showWindow(range) {
  find(".mx-dicom").classList.toggle("mx-none", !range);
  if (!range) return;
  const span = Math.max(range.high - range.low, 1), step = span > 200 ? 1 : span / 200;
  const [center, width] = ["center", "width"].map((name) => find("[data-window=" + name + "]"));
  Object.assign(center, { min: Math.floor(Math.min(range.low, range.center)), max: Math.ceil(Math.max(range.high, range.center)), step });
  Object.assign(width, { min: 1, max: Math.ceil(Math.max(span, range.width)), step });
  for (const input of [center, width]) {
    input.value = range[input.dataset.window];
    input.nextElementSibling.textContent = Math.round(input.value);
  }
}

async function show(text) {
  if (!text) { fit(); showWindow(null); shown = saliency = null; actions = []; image.removeAttribute("src"); showButtons(); redraw(); return; }
  const message = JSON.parse(text);
  if (message.image) {
    if (message.answered && innerWidth <= 640 && root.getBoundingClientRect().top > innerHeight / 2) {
      root.scrollIntoView({ behavior: "smooth", block: "start" });
    }
    image.src = message.image;
    image.alt = message.alt;
    frame.style.aspectRatio = message.width + " / " + message.height;
    frame.style.setProperty("--ratio", message.width / message.height);
    if (!message.answered && !message.text) fit();
    if ("window" in message) showWindow(message.window);
    await loadMap(message.saliency);
  }
  shown = { ...(shown || {}), ...message };
  if (!message.corrected) actions = [];
  if (!shown.takes_points) tool = "box";
  if (message.threshold !== null) setThreshold(message.threshold);
  find(".mx-title").textContent = message.text ? "“" + message.text + "”" : "";
  find(".mx-command code").textContent = message.command || "";
  find(".mx-note").textContent = message.command_note || "";
  find(".mx-caution").textContent = message.caution || "";
  find(".mx-rival").classList.toggle("mx-none", !shown.rival);
  showFacts(message.facts);
  say(message.said || "");
  moving = false;
  showButtons();
  redraw();
  root.dataset.serial = String(message.serial);
}

function setThreshold(value) {
  const slider = find("[data-slider=threshold]");
  slider.value = value;
  slider.nextElementSibling.textContent = Number(value).toFixed(2);
}

function ask() {
  const boxes = actions.filter((action) => action.box), points = actions.filter((action) => action.point);
  const box = boxes.length ? boxes[boxes.length - 1].box : null;
  showButtons();
  drawLines();
  trigger("select", { points: points.map((action) => action.point), box });
}

function act(action) { actions.push(action); ask(); }

function place(event) {
  const bounds = stage.getBoundingClientRect();
  const x = ((event.clientX - bounds.left) / bounds.width) * shown.width;
  const y = ((event.clientY - bounds.top) / bounds.height) * shown.height;
  return [Math.min(Math.max(x, 0), shown.width), Math.min(Math.max(y, 0), shown.height)];
}

function pixel(x, y) {
  return [Math.min(Math.floor(x), shown.width - 1), Math.min(Math.floor(y), shown.height - 1)];
}

function between(one, other) {
  const low = [Math.floor(Math.min(one[0], other[0])), Math.floor(Math.min(one[1], other[1]))];
  return [...low, Math.ceil(Math.max(one[0], other[0])), Math.ceil(Math.max(one[1], other[1]))];
}

function finish(point) {
  if (tool !== "box") { act({ point: [...pixel(...point), tool === "add" ? 1 : 0] }); return; }
  const box = between(corner, point);
  corner = dragged = null;
  if (box[2] - box[0] < 2 || box[3] - box[1] < 2) { drawLines(); say("Drag from one corner of the box to the other."); return; }
  act({ box });
}

stage.addEventListener("pointerdown", (event) => {
  if (pans || event.button === 1) {
    grip = [event.clientX, event.clientY];
    stage.setPointerCapture(event.pointerId);
    event.preventDefault();
    return;
  }
  if (!stage.dataset.tool || event.button > 0) return;
  cross = null;
  if (tool === "box") { corner = place(event); stage.setPointerCapture(event.pointerId); event.preventDefault(); }
});
stage.addEventListener("pointermove", (event) => {
  if (grip) {
    left -= (event.clientX - grip[0]) / frame.clientWidth;
    top_ -= (event.clientY - grip[1]) / frame.clientHeight;
    grip = [event.clientX, event.clientY];
    layOut();
    return;
  }
  if (tool !== "box" || !corner || !stage.dataset.tool) return;
  dragged = between(corner, place(event));
  drawLines();
});
stage.addEventListener("pointerup", (event) => {
  if (grip) { grip = null; return; }
  if (!stage.dataset.tool || event.button > 0 || (tool === "box" && !corner)) return;
  finish(place(event));
});
stage.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && zoom === 1) return;  // the page scrolls; Ctrl, or two fingers on a touchpad, zoom
  const bounds = frame.getBoundingClientRect();
  zoomBy(Math.exp(-0.002 * event.deltaY), (event.clientX - bounds.left) / bounds.width, (event.clientY - bounds.top) / bounds.height);
  event.preventDefault();
}, { passive: false });
stage.addEventListener("pointercancel", () => { grip = null; corner = dragged = null; drawLines(); });

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ZOOMS = { "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: fit };
stage.addEventListener("keydown", (event) => {
  if (ZOOMS[event.key] && !event.ctrlKey) { ZOOMS[event.key](); event.preventDefault(); return; }
  if (pans && STEPS[event.key]) {
    left += 0.1 * STEPS[event.key][0];
    top_ += 0.1 * STEPS[event.key][1];
    layOut();
    event.preventDefault();
    return;
  }
  if (!stage.dataset.tool) return;
  if (STEPS[event.key]) {
    const step = (event.shiftKey ? 0.1 : 0.01) * Math.max(shown.width, shown.height);
    cross = cross || [shown.width / 2, shown.height / 2];
    cross = [Math.min(Math.max(cross[0] + step * STEPS[event.key][0], 0), shown.width),
      Math.min(Math.max(cross[1] + step * STEPS[event.key][1], 0), shown.height)];
    dragged = corner ? between(corner, cross) : null;
  } else if ((event.key === "Enter" || event.key === " ") && cross) {
    if (tool === "box" && !corner) corner = [...cross]; else finish(cross);
  } else if (event.key === "Escape") { corner = dragged = cross = null; } else return;
  event.preventDefault();
  drawLines();
});
stage.addEventListener("blur", drawLines);

for (const button of all("button[data-tool]")) {
  button.addEventListener("click", () => { pans = false; layOut(); tool = button.dataset.tool; corner = dragged = null; showButtons(); drawLines(); });
}
for (const box of all("[data-layer]")) box.addEventListener("change", redraw);
find("[data-slider=opacity]").addEventListener("input", (event) => {
  event.target.nextElementSibling.textContent = Math.round(100 * event.target.value) + " %";
  redraw();
});
find("[data-slider=threshold]").addEventListener("input", (event) => {
  event.target.nextElementSibling.textContent = Number(event.target.value).toFixed(2);
  moving = true;
  redraw();
});
find("[data-slider=threshold]").addEventListener("change", () => trigger("release", { threshold: threshold() }));

for (const input of all("[data-window]")) {
  input.addEventListener("input", () => { input.nextElementSibling.textContent = Math.round(input.value); });
  input.addEventListener("change", () => {
    trigger("release", { window: ["center", "width"].map((name) => Number(find("[data-window=" + name + "]").value)) });
  });
}

function save(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
}

async function overlay() {
  const scale = Math.max(1, 1024 / Math.max(shown.width, shown.height)), canvas = document.createElement("canvas");
  canvas.width = Math.round(shown.width * scale);
  canvas.height = Math.round(shown.height * scale);
  const context = canvas.getContext("2d"), copy = lines.cloneNode(true), drawn = new Image();
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  context.drawImage(heat, 0, 0, canvas.width, canvas.height);
  copy.setAttribute("xmlns", SVG);
  copy.setAttribute("width", canvas.width);
  copy.setAttribute("height", canvas.height);
  drawn.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(copy));
  await drawn.decode();
  context.drawImage(drawn, 0, 0);
  save(canvas.toDataURL("image/png"), shown.name + "_overlay.png");
}

async function copyCommand() {
  try {
    await navigator.clipboard.writeText(shown.command);
    say("The command is copied.");
  } catch {
    getSelection().selectAllChildren(find(".mx-command code"));
    say("The command is selected: press Ctrl+C.");
  }
}

const DOES = {
  undo: () => { actions.pop(); ask(); },
  clear: () => { actions = []; ask(); },
  mask: () => save(shown.mask_png, shown.name + "_mask.png"),
  overlay,
  closer: () => zoomBy(1.5),
  farther: () => zoomBy(1 / 1.5),
  fit,
  pan: () => { pans = !pans; layOut(); },
  copy: copyCommand,
};
for (const button of all("[data-do]")) button.addEventListener("click", () => DOES[button.dataset.do]());

layOut();
new ResizeObserver(drawLines).observe(stage);
watch("value", () => show(props.value));
show(props.value);
