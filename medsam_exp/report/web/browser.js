// The image browser: one image as one or two runs see it, panels side by side. They are made when an image is opened.
const drawings = JSON.parse(byId("drawings").textContent);
// Drawings of many images lie in scripts beside the page, which are loaded when one of their images is asked for.
const { folder, each: perScript, names: besides } = drawings.beside ?? { names: [] };
const scriptOf = new Map(besides.map((id, number) => [id, Math.floor(number / perScript)]));
const isDrawn = (id) => id in drawings.images || scriptOf.has(id);
const addDrawings = ({ images, layers, prompts }) => {
  Object.assign(drawings.images, images);
  for (const [stage, byKey] of Object.entries({ ...layers, "": prompts })) {
    const own = stage ? (drawings.layers[stage] ??= {}) : drawings.prompts;
    for (const [key, drawn] of Object.entries(byKey)) Object.assign((own[key] ??= {}), drawn);
  }
};
const loads = new Map();
const loaded = (id) => {
  if (id in drawings.images) return Promise.resolve();
  const script = scriptOf.get(id);
  if (!loads.has(script)) {
    const src = `${folder}/images_${String(script).padStart(4, "0")}.js`;
    loads.set(script, new Promise((onload, onerror) => document.head.append(element("script", { src, onload, onerror }))));
  }
  return loads.get(script);
};
const places = new Map(data.images?.map((id, place) => [id, place]));
const svg = (name, attributes) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};
// A line with a dark rim, so that it is seen on bright tissue too.
const line = (name, attributes, stroke) => [
  svg(name, { ...attributes, class: "halo" }),
  svg(name, { ...attributes, class: "drawn", stroke }),
];
const promptMarks = (found, size) => {
  const marks = (found?.boxes_xyxy || []).flatMap(([x0, y0, x1, y1]) => line("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0 }, "#F0E442"));
  (found?.point_coords || []).flat().forEach(([x, y], index) => {
    const label = found.point_labels.flat()[index];
    if (label < 0) return;
    const [cx, cy, arm] = [x + 0.5, y + 0.5, size / 45]; // a point is a pixel's centre
    const cross = label ? `M${cx - arm} ${cy}h${2 * arm}M${cx} ${cy - arm}v${2 * arm}` : `M${cx - arm} ${cy - arm}l${2 * arm} ${2 * arm}M${cx - arm} ${cy + arm}l${2 * arm} ${-2 * arm}`;
    marks.push(...line("path", { d: cross }, label ? "#2BE3A6" : "#FF6A5C"));
  });
  return marks;
};
const written = (value, decimals = 3) => (value === null || value === undefined ? "–" : value.toFixed(decimals));
const scoreOf = (job, name, id) => job.scores[name]?.[places.get(id)] ?? null;

const startBrowser = () => {
  const viewer = byId("viewer");
  const table = document.querySelector("table.images");
  const over = byId("truth-over");
  const choices = drawings.panels.map(({ name, label, colour: ink }) => {
    const box = element("input", { type: "checkbox", value: name, checked: true });
    const key = element("span", { className: "line" });
    if (ink) key.style.setProperty("--stroke", ink);
    byId("panels").append(element("label", {}, box, " ", ...(ink ? [key, " "] : []), label));
    return box;
  });
  // Images are those of the first run's dataset; runs over another one have nothing to show there.
  const runs = data.jobs.map((job, index) => [index, job.label]).filter(([index]) => data.jobs[index].dataset === data.jobs[0].dataset);
  const selects = [fillSelect("run-a", runs, 0), fillSelect("run-b", runs, runs.at(-1)[0])].filter(Boolean);
  const shownJobs = () => (selects.length ? selects.map((select) => data.jobs[select.value]) : data.jobs.slice(0, 1));
  const large = new Set(); // names of enlarged panels; they stay so on the next image
  let current = null;

  const layerOf = (job, stage, id) => drawings.layers[stage]?.[job.drawn[stage]]?.[id];
  const laid = (href, image, opacity) => svg("image", { href, width: image.width, height: image.height, preserveAspectRatio: "none", opacity });
  // What lies over the image in a panel; null where this run has nothing of the kind.
  const contentOf = (panel, job, id) => {
    const image = drawings.images[id];
    const truth = over?.checked && image.truth ? [svg("path", { d: image.truth, class: "truth" })] : [];
    if (panel === "image") return [];
    if (panel === "truth") return image.truth === null ? null : line("path", { d: image.truth }, "#FFFFFF");
    const layer = layerOf(job, panel === "prompts" ? "sam_mask" : panel, id);
    if (layer === undefined) return null;
    if (panel === "saliency") return [laid(layer, image, 0.6), ...truth];
    if (panel === "prompts") return [...promptMarks(drawings.prompts[job.drawn.sam_mask]?.[id], Math.max(image.width, image.height)), ...truth];
    const ink = drawings.panels.find(({ name }) => name === panel).colour;
    return [...line("path", { d: layer }, ink), ...truth]; // the truth thinner, so that both are seen where they agree
  };
  const saidOf = ({ name, label, stage }, job, id) => {
    const { width, height, truth } = drawings.images[id];
    if (name === "image") return `${label}, ${width} × ${height} px`;
    if (name === "truth") return truth ? label : `${label}: nothing there`;
    if (!stage) return label;
    const dsc = scoreOf(job, `${stage}/dsc`, id);
    return [label, layerOf(job, name, id) === "" ? "empty" : "", dsc === null ? "" : `DSC ${written(dsc)}`].filter(Boolean).join(", ");
  };
  const panelOf = (panel, job, id) => {
    const content = contentOf(panel.name, job, id);
    if (content === null) return [];
    const image = drawings.images[id];
    const said = saidOf(panel, job, id);
    const picture = svg("svg", { class: "panel", viewBox: `0 0 ${image.width} ${image.height}`, role: "img", "aria-label": `${id}: ${said}` });
    picture.append(laid(image.source, image, 1), ...content);
    const button = element("button", { type: "button", title: "Enlarge or shrink" }, picture);
    const figure = element("figure", { className: large.has(panel.name) ? "large" : "" }, button, element("figcaption", { textContent: said }));
    figure.dataset.panel = panel.name;
    button.setAttribute("aria-expanded", large.has(panel.name));
    button.addEventListener("click", () => {
      large.delete(panel.name) || large.add(panel.name);
      show(id);
      viewer.querySelector(`[data-panel="${panel.name}"] button`).focus();
    });
    return [figure];
  };
  const seriesOf = (job, id) => {
    const on = new Set(choices.filter((box) => box.checked).map((box) => box.value));
    const panels = drawings.panels.filter(({ name }) => on.has(name)).flatMap((panel) => panelOf(panel, job, id));
    const text = data.texts[job.texts[places.get(id)]];
    const heading = element("p", { className: "run" }, ...(selects.length ? [element("b", { textContent: job.label }), " "] : []), ...(text ? [`“${text}”`] : []));
    return element("div", { className: "series" }, heading, element("div", { className: "panels" }, ...panels));
  };
  const fill = (id) => byId("series").replaceChildren(...[...new Set(shownJobs())].map((job) => seriesOf(job, id)));
  const show = (id) => {
    current = id;
    byId("shown").textContent = id;
    if (id in drawings.images) fill(id);
    else {
      byId("series").replaceChildren("…");
      loaded(id).then(() => current === id && fill(id), () => current === id && byId("series").replaceChildren(`The pictures are not there: they lie in the folder ${folder}.`));
    }
    for (const row of document.querySelectorAll("tr[data-id]")) row.classList.toggle("chosen", row.dataset.id === id);
  };
  const open = (id, job) => {
    if (!isDrawn(id)) return;
    if (selects.length && job !== undefined) {
      selects[0].value = job;
      selects[0].dispatchEvent(new Event("change"));
    }
    show(id);
    viewer.focus({ preventScroll: true });
    viewer.scrollIntoView({ block: "nearest" });
  };
  const step = (by) => {
    const ids = table.rowsOf.shown().map(table.rowsOf.idOf).filter(isDrawn);
    if (ids.length) show(ids[(ids.indexOf(current) + by + ids.length) % ids.length]);
  };
  document.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-id]");
    if (row && !event.target.closest("a, summary")) open(row.dataset.id);
  });
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  viewer.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) {
      event.preventDefault();
      step(by);
    }
    if (event.key === "Escape") table.querySelector("tr.chosen button")?.focus();
  });
  for (const control of [...choices, over, ...selects]) control?.addEventListener("change", () => current !== null && show(current));
  return { open, show, shownJobs, selects, shown: () => current };
};
const browser = byId("viewer") ? startBrowser() : null;
