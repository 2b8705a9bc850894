// Plots by plotly, which is unpacked once the page is shown. They are drawn when they come near the screen, all of them
// before printing. Until then, and in a browser that cannot unpack, a fixed picture or a sentence stands in their place.
const palette = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F", "#8C564B"]; // Okabe and Ito's
const each = 6000; // points, at most
const mean = (values) => {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
};
let printing = false;
const colour = (name) => (printing ? { "--ink": "#000", "--faint": "#444", "--line": "#bbb" }[name] : getComputedStyle(document.documentElement).getPropertyValue(name).trim());
const layout = (more) => ({
  font: { family: "system-ui, sans-serif", size: 12, color: colour("--ink") },
  paper_bgcolor: "transparent",
  plot_bgcolor: "transparent",
  margin: { l: 10, r: 20, t: 30, b: 45 },
  modebar: { bgcolor: "transparent", color: colour("--faint"), activecolor: colour("--ink") },
  hovermode: "closest",
  ...more,
});
const axis = (more) => ({ gridcolor: colour("--line"), linecolor: colour("--line"), zeroline: false, automargin: true, ...more });
const unpackPlotly = async () => {
  const packed = Uint8Array.from(atob(byId("plotly").textContent), (sign) => sign.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  document.head.append(element("script", { textContent: await new Response(unpacked).text() }));
};

// Args: id of a canvas -> function that gives its traces and its layout; a point's customdata is its image, a trace's
// meta the place of its run in data.jobs. Returns what redraws those that were drawn.
const startPlots = (draw) => {
  const canvases = Object.keys(draw).map(byId).filter(Boolean);
  const drawn = new Set();
  const drawPlot = (canvas) => {
    const first = !drawn.has(canvas.id);
    if (first) canvas.replaceChildren();
    drawn.add(canvas.id);
    const done = Plotly.react(canvas, ...draw[canvas.id](), {
      responsive: true,
      displaylogo: false,
      showSendToCloud: false, // a button that would send the plot's figures to plotly's server
      plotlyServerURL: "",
      modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d"],
    });
    if (first) canvas.on("plotly_click", ({ points: [point] }) => browser?.open(point.customdata ?? point.x, point.data.meta));
    return done;
  };
  const redraw = () => Promise.all(canvases.filter((canvas) => drawn.has(canvas.id)).map(drawPlot));
  const begin = async () => {
    if (!canvases.length || !byId("plotly")) return;
    if (!("DecompressionStream" in window)) {
      for (const canvas of canvases) canvas.append(element("p", { className: "hint", textContent: "This browser is too old for plots that answer; one of 2023 or later draws them." }));
      return;
    }
    await unpackPlotly();
    const watcher = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) if (isIntersecting && !drawn.has(target.id)) drawPlot(target);
    }, { rootMargin: "400px" });
    for (const canvas of canvases) watcher.observe(canvas);
    addEventListener("beforeprint", () => {
      printing = true;
      canvases.forEach(drawPlot);
    });
    addEventListener("afterprint", () => {
      printing = false;
      redraw();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  };
  const started = new Promise((resolve) => (document.readyState === "complete" ? resolve() : addEventListener("load", resolve))).then(begin);
  return { redraw, drawAll: () => started.then(() => Promise.all(canvases.map(drawPlot))) };
};
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
