// Sorts the table of images by the column whose heading is pressed; images without a value stay last.
"use strict";
for (const table of document.querySelectorAll(".sortable")) {
  const headings = [...table.tHead.rows].at(-1).cells;
  const body = table.tBodies[0];
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? cell.dataset.value : cell.textContent.trim();
  };
  const compare = (a, b) => {
    const numeric = a !== "" && b !== "" && !isNaN(a) && !isNaN(b);
    return numeric ? a - b : a.localeCompare(b, undefined, { numeric: true });
  };
  [...headings].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const sorted = [...body.rows].sort((a, b) => {
        const [x, y] = [valueOf(a, column), valueOf(b, column)];
        if ((x === "") !== (y === "")) return x === "" ? 1 : -1;
        return descending ? compare(y, x) : compare(x, y);
      });
      body.append(...sorted);
    });
  });
}
