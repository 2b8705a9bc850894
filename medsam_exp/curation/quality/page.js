// The pictures: each image once in the page's data, drawn wherever a finding shows it; a press makes a finding large.
const framed = (box) => {
  const [x0, y0, x1, y1] = box;
  return ["halo", "drawn"].map((name) => svg("rect", { x: x0 - 2, y: y0 - 2, width: x1 - x0 + 4, height: y1 - y0 + 4, class: name }));
};
for (const place of document.querySelectorAll("[data-picture]")) {
  const { source, width, height, truth } = drawings.images[place.dataset.picture];
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": place.dataset.picture });
  picture.append(svg("image", { href: source, width, height }));
  if (truth) picture.append(...["halo", "drawn"].map((name) => svg("path", { d: truth, class: name })));
  picture.append(...JSON.parse(place.dataset.boxes).flatMap(framed));
  place.append(picture);
  place.addEventListener("click", () => place.closest(".card").classList.toggle("large"));
}
