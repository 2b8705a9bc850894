// Each button is a drawn scan.
for (const button of element.querySelectorAll("[data-number]")) {
  button.addEventListener("click", () => trigger("select", { number: Number(button.dataset.number) }));
}
