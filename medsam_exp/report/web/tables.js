// Every table in a `.sorts` place sorts by the heading that is pressed, and filters by what is typed; cells without a
// value stay last. A table of many images is made from the page's data, some rows at a time.
"use strict";
const byId = (id) => document.getElementById(id);
// Those of many images lie beside the page; without them it shows what it holds itself.
const data = typeof reportData === "undefined" ? JSON.parse(byId("data").textContent) : reportData;
if (byId("alone")) byId("alone").hidden = typeof reportData !== "undefined";
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
// What a table's rows are: elements, of which all are in the table.
const rowsOf = (table) => ({
  all: () => [...table.tBodies[0].rows],
  value: (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    return "value" in cell.dataset ? cell.dataset.value : cell.textContent.trim();
  },
  words: (row) => row.textContent.toLowerCase(),
  order: (rows) => table.tBodies[0].append(...rows),
  filter: (fits) => {
    for (const row of table.tBodies[0].rows) row.hidden = !fits(row);
  },
  shown: () => [...table.tBodies[0].rows].filter((row) => !row.hidden),
  idOf: (row) => row.dataset.id,
});
// The same of many images: a row is an image's place in the data, and a hundred of those that fit are in the table.
const pagesOf = (table) => {
  const each = 100;
  const columns = headingsOf(table).map((heading) => ({ name: nameOf(heading), decimals: heading.dataset.decimals, first: heading.classList.contains("first") }));
  const found = { true: "yes", false: "no", null: "–" };
  const text = (image) => data.texts[data.jobs[0].texts[image]] ?? "";
  const value = (image, column) => {
    const { name } = columns[column];
    if (name === "image") return data.images[image];
    if (name === "text") return text(image);
    if (name === "found") return found[data.found?.[image]];
    return String(data.jobs[0].scores[name]?.[image] ?? "");
  };
  const cell = (image, { name, decimals, first }, column) => {
    const id = data.images[image];
    if (name === "image") return element("th", { scope: "row" }, isDrawn(id) ? element("button", { type: "button", textContent: id }) : id);
    if (decimals === undefined) return element("td", { className: name, textContent: value(image, column) });
    return element("td", { className: first ? "number first" : "number", textContent: written(data.jobs[0].scores[name]?.[image], Number(decimals)) });
  };
  let [ordered, shown, page] = [data.images.map((_, image) => image), [], 0];
  const where = element("span");
  const [before, after] = [element("button", { type: "button", textContent: "← Page" }), element("button", { type: "button", textContent: "Page →" })];
  const fill = (to) => {
    page = to;
    const rows = shown.slice(page * each, (page + 1) * each).map((image) => {
      const row = element("tr", {}, ...columns.map((column, place) => cell(image, column, place)));
      row.dataset.id = data.images[image];
      return row;
    });
    table.tBodies[0].replaceChildren(...rows);
    where.textContent = rows.length ? `rows ${page * each + 1} to ${page * each + rows.length} of ${shown.length}` : "no rows";
    [before.disabled, after.disabled] = [page === 0, (page + 1) * each >= shown.length];
  };
  before.addEventListener("click", () => fill(page - 1));
  after.addEventListener("click", () => fill(page + 1));
  table.closest(".scroll").after(element("p", { className: "controls" }, before, where, after));
  return {
    all: () => ordered,
    value,
    words: (image) => `${data.images[image]} ${text(image)} ${found[data.found?.[image]]}`.toLowerCase(),
    order: (rows) => {
      ordered = rows;
      const kept = new Set(shown);
      shown = ordered.filter((image) => kept.has(image));
      fill(0);
    },
    filter: (fits) => {
      shown = ordered.filter(fits);
      fill(0);
    },
    shown: () => shown,
    idOf: (image) => data.images[image],
  };
};
const collator = new Intl.Collator(undefined, { numeric: true });
const compare = (a, b) => (a !== "" && b !== "" && !isNaN(a) && !isNaN(b) ? a - b : collator.compare(a, b));
const sortBy = (table, column, descending) => {
  const sorted = table.rowsOf.all().map((row) => [table.rowsOf.value(row, column), row]).sort(([x], [y]) => {
    if ((x === "") !== (y === "")) return x === "" ? 1 : -1;
    return descending ? compare(y, x) : compare(x, y);
  });
  table.rowsOf.order(sorted.map(([, row]) => row));
};
// A part like "sam/dsc<0.5" asks for a column's number, any other part for a word.
const nameOf = (heading) => heading.dataset.name || heading.textContent.toLowerCase().replace(/[^\w/]+/g, "");
const holds = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b, "=": (a, b) => a === b };
const comparison = (part) => part.match(/^([^<>=]+)(<=|>=|<|>|=)(-?[\d.]+)$/) || [];
const partsOf = (typed) => typed.toLowerCase().split(/\s+/).filter(Boolean);
// Says which column of the parts is not there, and which are.
const unknownColumn = (table, typed) => {
  const numbers = headingsOf(table).filter((heading) => heading.classList.contains("number")).map(nameOf);
  const unknown = partsOf(typed).map((part) => comparison(part)[1]).find((name) => name && !numbers.includes(name));
  return unknown ? `: there is no column ${unknown} of numbers, but ${numbers.join(", ") || "none"}` : "";
};
const asked = (table, part) => {
  const [, name, sign, limit] = comparison(part);
  const column = headingsOf(table).findIndex((heading) => nameOf(heading) === name);
  if (column < 0) return (row) => table.rowsOf.words(row).includes(part);
  return (row) => table.rowsOf.value(row, column) !== "" && holds[sign](Number(table.rowsOf.value(row, column)), Number(limit));
};
const filterRows = (table, typed) => {
  const wanted = partsOf(typed).map((part) => asked(table, part));
  table.rowsOf.filter((row) => wanted.every((fits) => fits(row)));
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
  table.rowsOf = "pages" in table.dataset ? pagesOf(table) : rowsOf(table);
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
    count.textContent = search.value.trim() ? `${table.rowsOf.shown().length} of ${table.rowsOf.all().length} rows${unknownColumn(table, search.value)}` : "";
  };
  search.addEventListener("input", table.filter);
  place.before(element("p", { className: "filter" }, element("label", {}, "Filter rows ", search), " ", count));
}
