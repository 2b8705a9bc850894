// Every table sorts by the heading that is pressed and filters by what is typed; cells without a value stay last.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const valueOf = (row, column) => {
  const cell = row.cells[column];
  if (!cell) return "";
  return "value" in cell.dataset ? cell.dataset.value : cell.textContent.trim();
};
const compare = (a, b) =>
  a !== "" && b !== "" && !isNaN(a) && !isNaN(b) ? a - b : a.localeCompare(b, undefined, { numeric: true });
const sortBy = (table, column, descending) => {
  const sorted = [...table.tBodies[0].rows].sort((a, b) => {
    const [x, y] = [valueOf(a, column), valueOf(b, column)];
    if ((x === "") !== (y === "")) return x === "" ? 1 : -1;
    return descending ? compare(y, x) : compare(x, y);
  });
  table.tBodies[0].append(...sorted);
};
const filterRows = (table, typed) => {
  const words = typed.toLowerCase().split(/\s+/);
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
};
for (const place of document.querySelectorAll(".sorts")) {
  const table = place.querySelector("table");
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = element("button", { type: "button", textContent: heading.textContent });
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortBy(table, column, descending);
    });
  });
  const search = element("input", { type: "search" });
  search.addEventListener("input", () => filterRows(table, search.value));
  place.before(element("label", { className: "filter" }, "Filter rows ", search));
}
const fillSelect = (id, options, chosen) => {
  const select = document.getElementById(id);
  if (!select) return null;
  for (const [value, text] of options) select.append(element("option", { value, textContent: text }));
  if (chosen !== undefined) select.value = chosen;
  return select;
};

// Settings that differ between two runs.
const runs = data.jobs.map((job, index) => [index, job.label]);
const lastRun = Math.max(0, runs.length - 1);
const diffA = fillSelect("diff-a", runs, 0);
const diffB = fillSelect("diff-b", runs, lastRun);
const showDifferences = () => {
  if (!data.jobs.length) return;
  const [a, b] = [data.jobs[diffA.value].settings, data.jobs[diffB.value].settings];
  const rows = Object.keys(a)
    .filter((key) => a[key] !== b[key])
    .map((key) => element("tr", {}, element("th", { scope: "row", textContent: key }), element("td", { textContent: a[key] }), element("td", { textContent: b[key] })));
  const none = element("tr", {}, element("td", { colSpan: 3, textContent: "No setting differs." }));
  document.querySelector("#differences tbody").replaceChildren(...(rows.length ? rows : [none]));
};
for (const select of [diffA, diffB]) select.addEventListener("change", showDifferences);
showDifferences();
