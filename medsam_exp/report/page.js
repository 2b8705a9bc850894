// A run's own: its plots, and the first image of the table opened.
const scores = data.jobs[0].scores;
const colours = {{ stage_colours | tojson }};
const inUnit = (measure) => Object.keys(data.stages).every((stage) => (scores[`${stage}/${measure}`] ?? []).every((value) => value === null || (value >= 0 && value <= 1)));
const ofMasks = Object.keys(data.measures).filter((measure) => Object.keys(colours).some((stage) => `${stage}/${measure}` in scores));
const between = ofMasks.filter(inUnit);
const shownMeasures = fillSelect("measures", [
  ...(between.length ? [[between.join(), between.map((measure) => data.measures[measure]).join(", ")]] : []),
  ...Object.keys(data.measures).map((measure) => [measure, data.measures[measure]]),
]);
const masks = Object.keys(data.stages).filter((stage) => `${stage}/dsc` in scores);
const all = Object.entries(data.scores);
const across = fillSelect("across", all, masks.length > 1 ? `${masks[0]}/dsc` : undefined);
const up = fillSelect("up", all, masks.length ? `${masks.at(-1)}/dsc` : undefined);
// Of many images every so many-th is drawn in a plot that has a point for each.
const thinning = Math.ceil(data.images.length / each);
const drawn = (values) => values.filter((_, image) => image % thinning === 0);
if (thinning > 1) {
  const said = { boxes: "Of so many images the boxes are of all, and points at most of those outside the whiskers.", scatter: `Of ${data.images.length} images one in ${thinning} is drawn.` };
  for (const [id, textContent] of Object.entries(said)) byId(id)?.closest(".plot").append(element("p", { className: "hint", textContent }));
}
const hover = data.images.map((id) => (id.length > 60 ? `${id.slice(0, 58)}…` : id));

const plots = startPlots({
  boxes: () => {
    const measures = shownMeasures.value.split(",");
    const traces = Object.keys(data.stages).flatMap((stage, index) => {
      const known = measures.filter((measure) => `${stage}/${measure}` in scores);
      const count = data.images.length * known.length;
      const points = count <= each ? "all" : count <= 10 * each ? "outliers" : false;
      const ink = colours[stage] ?? palette[(index + 6) % 8];
      return known.length ? [{
        type: "box", name: data.stages[stage], y: known.flatMap((measure) => scores[`${stage}/${measure}`]), x: known.flatMap((measure) => data.images.map(() => data.measures[measure])),
        customdata: known.flatMap(() => data.images), text: known.flatMap(() => hover), boxpoints: points, jitter: 0.5, pointpos: 0, marker: { size: 4, opacity: 0.6, color: ink },
        line: { color: ink }, hovertemplate: "%{text}<br>%{y:.3f}<extra>%{fullData.name}</extra>",
      }] : [];
    });
    const upwards = axis(measures.every(inUnit) ? { range: [-0.03, 1.03] } : { rangemode: "tozero" });
    return [traces, layout({ height: 400, boxmode: "group", showlegend: true, legend: { orientation: "h", y: -0.12 }, yaxis: upwards, xaxis: axis({ type: "category" }) })];
  },
  scatter: () => {
    const [x, y] = [across.value, up.value];
    const trace = {
      type: "scatter", mode: "markers", x: drawn(scores[x]), y: drawn(scores[y]), customdata: drawn(data.images), text: drawn(hover), marker: { size: 7, opacity: 0.7, color: colours[y.split("/")[0]] ?? palette[0] },
      hovertemplate: `%{text}<br>${data.scores[x]} %{x:.3f}<br>${data.scores[y]} %{y:.3f}<extra></extra>`,
    };
    const both = [x, y].every((name) => inUnit(name.split("/")[1])) && x.split("/")[1] === y.split("/")[1];
    const equal = both ? [{ type: "line", x0: 0, y0: 0, x1: 1, y1: 1, line: { dash: "dot", width: 1, color: "#888" } }] : [];
    const named = (name) => axis({ title: { text: data.scores[name] }, ...(both ? { range: [-0.03, 1.03] } : {}) });
    return [[trace], layout({ height: 460, shapes: equal, xaxis: named(x), yaxis: named(y), showlegend: false })];
  },
});
for (const select of [shownMeasures, across, up]) select?.addEventListener("change", plots.redraw);
document.querySelector("table[data-pages]")?.filter();
if (browser) browser.show(besides[0] ?? [...document.querySelectorAll("table.images tr[data-id]")].map((row) => row.dataset.id).find(isDrawn));
