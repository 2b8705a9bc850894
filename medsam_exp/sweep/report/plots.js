// Plots are drawn when they come near the screen, and all of them before printing.
const palette = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#7F7F7F"]; // Okabe and Ito's
const mean = (values) => {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
};
const methods = new Map();
for (const job of data.jobs) methods.set(job.method, [...(methods.get(job.method) || []), job]);
// One value for each image: its mean over the seeds.
const byImage = (jobs, score) => data.images.map((_, image) => mean(jobs.map((job) => job.scores[score][image])));
const score = fillSelect("score", Object.entries(data.scores), "sam/dsc" in data.scores ? "sam/dsc" : undefined);
const axes = Object.keys(data.axes).map((axis) => [axis, axis]);
const gridRows = fillSelect("grid-rows", axes, axes[0]?.[0]);
const gridColumns = fillSelect("grid-columns", axes, axes[1]?.[0]);
const labels = [...methods.keys()];
const short = (text) => (text.length > 34 ? `${text.slice(0, 16)}…${text.slice(-16)}` : text);
const layout = (more) => ({
  font: { family: "system-ui, sans-serif", size: 12, color: "#16191d" },
  margin: { l: 10, r: 20, t: 30, b: 45 },
  hovermode: "closest",
  ...more,
});
const tall = (rows) => Math.max(300, 110 + 30 * rows);
const ticks = { automargin: true, tickmode: "array", tickvals: labels, ticktext: labels.map(short), autorange: "reversed", type: "category" };

const draw = {
  boxes: () => {
    const points = data.images.length * labels.length <= 6000 ? "all" : "outliers";
    const traces = labels.map((label, index) => ({
      type: "box", orientation: "h", name: label, x: byImage(methods.get(label), score.value), y: data.images.map(() => label),
      text: data.images, boxpoints: points, jitter: 0.5, pointpos: 0, marker: { size: 4, opacity: 0.55, color: palette[index % 8] },
      line: { color: palette[index % 8] }, hovertemplate: "%{text}<br>%{x:.3f}<extra>%{y}</extra>",
    }));
    return [traces, layout({ height: tall(labels.length), showlegend: false, yaxis: ticks, xaxis: { title: { text: data.scores[score.value] }, zeroline: false } })];
  },
  grid: () => {
    const [rows, columns] = [data.axes[gridRows.value], data.axes[gridColumns.value]];
    const cell = (row, column) => mean(data.jobs.filter((job) => job.values[gridRows.value] === row && job.values[gridColumns.value] === column).map((job) => mean(job.scores[score.value])));
    const z = rows.map((row) => columns.map((column) => cell(row, column)));
    const trace = {
      type: "heatmap", z, x: columns, y: rows, colorscale: "Viridis", xgap: 2, ygap: 2, texttemplate: "%{z:.3f}", hoverongaps: false,
      hovertemplate: "%{y} / %{x}<br>%{z:.3f}<extra></extra>", colorbar: { thickness: 12 },
    };
    const axis = { type: "category", automargin: true };
    return [[trace], layout({ height: tall(rows.length), yaxis: { ...axis, autorange: "reversed" }, xaxis: axis })];
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
    return [[trace], layout({ height: tall(labels.length) + (named ? 60 : 0), yaxis: ticks, xaxis: { type: "category", showticklabels: named, automargin: true, tickangle: -60 } })];
  },
  scatter: () => {
    const each = data.images.length * labels.length <= 6000;
    const traces = labels.map((label, index) => {
      const [coarse, sam] = ["coarse/dsc", "sam/dsc"].map((name) => byImage(methods.get(label), name));
      return {
        type: "scatter", mode: "markers", name: short(label), x: each ? coarse : [mean(coarse)], y: each ? sam : [mean(sam)], text: each ? data.images : [label],
        marker: { color: palette[index % 8], size: each ? 6 : 10, opacity: 0.7, symbol: index % 24 }, hovertemplate: "%{text}<br>coarse %{x:.3f}, SAM %{y:.3f}<extra>%{fullData.name}</extra>",
      };
    });
    const line = { type: "line", x0: 0, y0: 0, x1: 1, y1: 1, line: { dash: "dot", width: 1, color: "#59616b" } };
    const axis = (text) => ({ title: { text }, range: [-0.03, 1.03], zeroline: false });
    return [traces, layout({ height: 460, shapes: [line], xaxis: axis("coarse mask, DSC"), yaxis: { ...axis("SAM mask, DSC"), automargin: true }, showlegend: true, legend: { orientation: "h", y: -0.2 } })];
  },
};
const canvases = Object.keys(draw).map((name) => document.getElementById(name)).filter(Boolean);
const drawn = new Set();
const drawPlot = (canvas) => {
  drawn.add(canvas.id);
  return Plotly.react(canvas, ...draw[canvas.id](), {
    responsive: true,
    displaylogo: false,
    showSendToCloud: false, // a button that would send the plot's figures to plotly's server
    plotlyServerURL: "",
    modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d"],
  });
};
const watcher = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) if (isIntersecting && !drawn.has(target.id)) drawPlot(target);
}, { rootMargin: "400px" });
for (const canvas of canvases) watcher.observe(canvas);
const redraw = () => canvases.filter((canvas) => drawn.has(canvas.id)).forEach(drawPlot);
for (const select of [score, gridRows, gridColumns]) select?.addEventListener("change", redraw);
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  canvases.forEach(drawPlot);
});
