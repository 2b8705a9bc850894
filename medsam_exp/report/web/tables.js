// Every table in a `.sorts` place sorts by the heading that is pressed, and filters by what is typed; cells without a
// value stay last.
"use strict";
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const fillSelect = (id, options, chosen) => {
  const select = byId(id);
  if (!select) return null;
  for (const [value, text] of options) select.append(element("option", { value, textContent: text }));
  if (chosen !== undefined) select.value = chosen;
  return select;
};
const headingsOf = (table) => [...[...table.tHead.rows].at(-1).cells];
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
// A part like "sam/dsc<0.5" asks for a column's number, any other part for a word.
const nameOf = (heading) => heading.dataset.name || heading.textContent.toLowerCase().replace(/[^\w/]+/g, "");
const holds = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b, "=": (a, b) => a === b };
const asked = (table, part) => {
  const [, name, sign, limit] = part.match(/^([^<>=]+)(<=|>=|<|>|=)(-?[\d.]+)$/) || [];
  const column = headingsOf(table).findIndex((heading) => nameOf(heading) === name);
  if (column < 0) return (row) => row.textContent.toLowerCase().includes(part);
  return (row) => valueOf(row, column) !== "" && holds[sign](Number(valueOf(row, column)), Number(limit));
};
const filterRows = (table, typed) => {
  const wanted = typed.toLowerCase().split(/\s+/).filter(Boolean).map((part) => asked(table, part));
  for (const row of table.tBodies[0].rows) row.hidden = !wanted.every((fits) => fits(row));
};
// After rows were made anew: order and filter as before.
const refresh = (table) => {
  const sorted = headingsOf(table).findIndex((heading) => heading.hasAttribute("aria-sort"));
  if (sorted >= 0) sortBy(table, sorted, headingsOf(table)[sorted].getAttribute("aria-sort") === "descending");
  table.filter();
};
for (const place of document.querySelectorAll(".sorts")) {
  const table = place.querySelector("table");
  const headings = headingsOf(table);
  headings.forEach((heading, column) => {
    if (!heading.textContent.trim()) return; // nothing to sort by
    heading.dataset.name = nameOf(heading);
    const button = element("button", { type: "button", textContent: heading.textContent });
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortBy(table, column, descending);
    });
  });
  const numbers = headings.find((heading) => heading.classList.contains("number"));
  const search = element("input", { type: "search", placeholder: numbers ? `words, ${numbers.dataset.name}<0.5` : "words" });
  const count = element("output");
  table.filter = () => {
    filterRows(table, search.value);
    const rows = [...table.tBodies[0].rows];
    count.textContent = search.value.trim() ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
  };
  search.addEventListener("input", table.filter);
  place.before(element("p", { className: "filter" }, element("label", {}, "Filter rows ", search), " ", count));
}
