// A sweep's own: its plots, its table of images as two runs score them, the settings in which two runs differ.
const methods = new Map();
for (const job of data.jobs) methods.set(job.method, [...(methods.get(job.method) || []), job]);
// One value for each image: its mean over the seeds.
const byImage = (jobs, score) => data.images.map((_, image) => mean(jobs.map((job) => job.scores[score][image])));
const score = fillSelect("score", Object.entries(data.scores), "sam/dsc" in data.scores ? "sam/dsc" : undefined);
const axes = Object.keys(data.axes).map((axis) => [axis, axis]);
const gridRows = fillSelect("grid-rows", axes, axes[0]?.[0]);
const gridColumns = fillSelect("grid-columns", axes, axes[1]?.[0]);
const labels = [...methods.keys()];
const firstRun = (label) => data.jobs.indexOf(methods.get(label)[0]);
const short = (text) => (text.length > 34 ? `${text.slice(0, 16)}…${text.slice(-16)}` : text);
const tall = (rows) => Math.max(300, 110 + 30 * rows);
const ticks = { automargin: true, tickmode: "array", tickvals: labels, ticktext: labels.map(short), autorange: "reversed", type: "category" };

const plots = startPlots({
  boxes: () => {
    const points = data.images.length * labels.length <= each ? "all" : "outliers";
    const traces = labels.map((label, index) => ({
      type: "box", customdata: data.images, meta: firstRun(label), orientation: "h", name: label, x: byImage(methods.get(label), score.value), y: data.images.map(() => label),
      text: data.images, boxpoints: points, jitter: 0.5, pointpos: 0, marker: { size: 4, opacity: 0.55, color: palette[index % 8] },
      line: { color: palette[index % 8] }, hovertemplate: "%{text}<br>%{x:.3f}<extra>%{y}</extra>",
    }));
    return [traces, layout({ height: tall(labels.length), showlegend: false, yaxis: axis(ticks), xaxis: axis({ title: { text: data.scores[score.value] } }) })];
  },
  grid: () => {
    const [rows, columns] = [data.axes[gridRows.value], data.axes[gridColumns.value]];
    const cell = (row, column) => mean(data.jobs.filter((job) => job.values[gridRows.value] === row && job.values[gridColumns.value] === column).map((job) => mean(job.scores[score.value])));
    const z = rows.map((row) => columns.map((column) => cell(row, column)));
    const trace = {
      type: "heatmap", z, x: columns, y: rows, colorscale: "Viridis", xgap: 2, ygap: 2, texttemplate: "%{z:.3f}", hoverongaps: false,
      hovertemplate: "%{y} / %{x}<br>%{z:.3f}<extra></extra>", colorbar: { thickness: 12 },
    };
    const category = axis({ type: "category" });
    return [[trace], layout({ height: tall(rows.length), yaxis: { ...category, autorange: "reversed" }, xaxis: category })];
  },
  matrix: () => {
    const values = labels.map((label) => byImage(methods.get(label), score.value));
    const level = data.images.map((_, image) => mean(values.map((own) => own[image])) ?? -1);
    const order = data.images.map((_, image) => image).sort((a, b) => level[a] - level[b]);
    const trace = {
      type: "heatmap", z: values.map((own) => order.map((image) => own[image])), x: order.map((image) => data.images[image]), y: labels,
      colorscale: "Viridis", hoverongaps: false, hovertemplate: "%{x}<br>%{y}<br>%{z:.3f}<extra></extra>", colorbar: { thickness: 12 },
    };
    const named = data.images.length <= 30;
    return [[trace], layout({ height: tall(labels.length) + (named ? 60 : 0), yaxis: axis(ticks), xaxis: axis({ type: "category", showticklabels: named, tickangle: -60 }) })];
  },
  scatter: () => {
    const all = data.images.length * labels.length <= each;
    const traces = labels.map((label, index) => {
      const [coarse, sam] = ["coarse/dsc", "sam/dsc"].map((name) => byImage(methods.get(label), name));
      return {
        type: "scatter", mode: "markers", customdata: all ? data.images : [null], meta: firstRun(label), name: short(label), x: all ? coarse : [mean(coarse)], y: all ? sam : [mean(sam)], text: all ? data.images : [label],
        marker: { color: palette[index % 8], size: all ? 6 : 10, opacity: 0.7, symbol: index % 24 }, hovertemplate: "%{text}<br>coarse %{x:.3f}, SAM %{y:.3f}<extra>%{fullData.name}</extra>",
      };
    });
    const equal = { type: "line", x0: 0, y0: 0, x1: 1, y1: 1, line: { dash: "dot", width: 1, color: "#888" } };
    const unit = (text) => axis({ title: { text }, range: [-0.03, 1.03] });
    return [traces, layout({ height: 460, shapes: [equal], xaxis: unit("Coarse mask, DSC"), yaxis: unit("SAM mask, DSC"), showlegend: true, legend: { orientation: "h", y: -0.2 } })];
  },
});
for (const select of [score, gridRows, gridColumns]) select?.addEventListener("change", plots.redraw);

// Images as runs A and B score them.
if (browser) {
  const table = document.querySelector("table.images");
  const number = (value) => {
    const cell = element("td", { className: "number", textContent: written(value) });
    cell.dataset.value = value ?? "";
    return cell;
  };
  const ids = Object.keys(drawings.images).sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  const fill = () => {
    const rows = ids.map((id) => {
      const [a, b] = browser.shownJobs().map((job) => (score ? scoreOf(job, score.value, id) : null));
      const scores = score ? [number(a), number(b), number(a === null || b === null ? null : b - a)] : [];
      const open = element("button", { type: "button", textContent: id });
      const row = element("tr", {}, element("th", { scope: "row" }, open), ...scores);
      row.dataset.id = id;
      return row;
    });
    table.tBodies[0].replaceChildren(...rows);
    refresh(table);
    byId("compared").textContent = score ? `${data.scores[score.value]} of runs A and B; the score is chosen above the plots.` : "";
    browser.show(browser.shown() ?? ids[0]);
  };
  for (const select of [...browser.selects, score]) select?.addEventListener("change", fill);
  fill();
}

// Settings that differ between two runs.
const runLabels = data.jobs.map((job, index) => [index, job.label]);
const diffA = fillSelect("diff-a", runLabels, 0);
const diffB = fillSelect("diff-b", runLabels, Math.max(0, runLabels.length - 1));
const showDifferences = () => {
  if (!data.jobs.length) return;
  const [a, b] = [data.jobs[diffA.value].settings, data.jobs[diffB.value].settings];
  const rows = Object.keys(a)
    .filter((key) => a[key] !== b[key])
    .map((key) => element("tr", {}, element("th", { scope: "row", textContent: key }), element("td", { textContent: a[key] }), element("td", { textContent: b[key] })));
  const none = element("tr", {}, element("td", { colSpan: 3, textContent: "No setting differs." }));
  document.querySelector("#differences tbody").replaceChildren(...(rows.length ? rows : [none]));
  refresh(byId("differences"));
};
for (const select of [diffA, diffB]) select.addEventListener("change", showDifferences);
showDifferences();
