// The image browser: one image as two runs see it. Pictures are made when an image is opened.
const pictures = JSON.parse(document.getElementById("pictures").textContent);
const imageTable = document.getElementById("image-table");
if (imageTable) {
  const colours = {{ colours | tojson }};
  const runA = fillSelect("run-a", runs, 0);
  const runB = fillSelect("run-b", runs, lastRun);
  const boxes = [...document.querySelectorAll("#layers input")];
  const shown = document.getElementById("shown");
  let current = null;
  const svg = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  // A line with a dark rim, so that it is seen on bright tissue too.
  const line = (name, attributes, colour) => [
    svg(name, { ...attributes, class: "halo" }),
    svg(name, { ...attributes, class: "drawn", stroke: colour }),
  ];
  const prompts = (found, size) => {
    const drawn = (found?.boxes_xyxy || []).flatMap(([x0, y0, x1, y1]) => line("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0 }, "#F0E442"));
    (found?.point_coords || []).flat().forEach(([x, y], index) => {
      const label = found.point_labels.flat()[index];
      if (label < 0) return;
      const [cx, cy, arm] = [x + 0.5, y + 0.5, size / 45]; // a point is a pixel's centre
      const cross = label ? `M${cx - arm} ${cy}h${2 * arm}M${cx} ${cy - arm}v${2 * arm}` : `M${cx - arm} ${cy - arm}l${2 * arm} ${2 * arm}M${cx - arm} ${cy + arm}l${2 * arm} ${-2 * arm}`;
      drawn.push(...line("path", { d: cross }, label ? "#2BE3A6" : "#FF6A5C"));
    });
    return drawn;
  };
  const panel = (image, named, ...parts) => {
    const made = svg("svg", { class: "panel", viewBox: `0 0 ${image.width} ${image.height}`, role: "img", "aria-label": named });
    made.append(svg("image", { href: image.source, width: image.width, height: image.height, preserveAspectRatio: "none" }), ...parts);
    return made;
  };
  const scoreOf = (job, id) => job.scores[score.value]?.[data.images.indexOf(id)] ?? null;
  const written = (value) => (value === null ? "–" : value.toFixed(3));
  const paint = (place, job, id) => {
    const image = pictures.images[id];
    const on = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const layer = (stage) => pictures.layers[stage]?.[job.keys[stage]]?.[id];
    const map = layer("saliency");
    const over = on.has("saliency") && map ? [svg("image", { href: map, width: image.width, height: image.height, preserveAspectRatio: "none", opacity: 0.6 })] : [];
    const masks = Object.keys(colours).filter((stage) => on.has(stage) && layer(stage)).flatMap((stage) => line("path", { d: layer(stage) }, colours[stage]));
    const truth = on.has("truth") && image.truth ? [svg("path", { d: image.truth, class: "truth" })] : []; // thin, so that both are seen where they agree
    const visual = on.has("prompts") ? prompts(pictures.prompts[job.keys.sam_mask]?.[id], Math.max(image.width, image.height)) : [];
    const caption = element("figcaption", { textContent: `${job.label} · ${data.scores[score.value]} ${written(scoreOf(job, id))}` });
    const panels = element("div", { className: "panels" }, panel(image, `${id}: image and saliency map`, ...over), panel(image, `${id}: masks and prompts`, ...masks, ...visual, ...truth));
    document.getElementById(place).replaceChildren(panels, caption);
  };
  const show = (id) => {
    if (id === null) return;
    current = id;
    shown.textContent = id;
    paint("picture-a", data.jobs[runA.value], id);
    paint("picture-b", data.jobs[runB.value], id);
    for (const row of imageTable.tBodies[0].rows) row.classList.toggle("chosen", row.dataset.id === id);
  };
  const step = (by) => {
    const ids = [...imageTable.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.dataset.id);
    if (ids.length) show(ids[(ids.indexOf(current) + by + ids.length) % ids.length]);
  };
  const number = (value) => {
    const cell = element("td", { className: "number", textContent: written(value) });
    cell.dataset.value = value ?? "";
    return cell;
  };
  const fill = () => {
    const rows = Object.keys(pictures.images).sort((a, b) => a.localeCompare(b, undefined, { numeric: true })).map((id) => {
      const [a, b] = [runA, runB].map((run) => scoreOf(data.jobs[run.value], id));
      const open = element("button", { type: "button", textContent: id });
      const row = element("tr", {}, element("th", { scope: "row" }, open), number(a), number(b), number(a === null || b === null ? null : b - a));
      row.dataset.id = id;
      row.addEventListener("click", () => {
        show(id);
        document.getElementById("viewer").scrollIntoView({ block: "nearest" });
      });
      return row;
    });
    imageTable.tBodies[0].replaceChildren(...rows);
    const sorted = imageTable.tHead.querySelector("th[aria-sort]");
    if (sorted) sortBy(imageTable, sorted.cellIndex, sorted.getAttribute("aria-sort") === "descending");
    filterRows(imageTable, imageTable.closest(".sorts").previousElementSibling.querySelector("input").value);
    show(current ?? rows[0].dataset.id);
  };
  document.getElementById("previous").addEventListener("click", () => step(-1));
  document.getElementById("next").addEventListener("click", () => step(1));
  document.getElementById("viewer").addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) { event.preventDefault(); step(by); }
  });
  for (const select of [runA, runB, score]) select?.addEventListener("change", fill);
  for (const box of boxes) box.addEventListener("change", () => show(current));
  fill();
}
