/* Copies code blocks, lets the search show its excerpts where the pages are opened as files, and names for screen readers
   and keys what the theme leaves nameless. */

function addCopyButton(block) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy-code";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.querySelector("pre").innerText.trimEnd());
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block.querySelector("pre"));
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  block.append(button);
}

/* A browser reads no file for a page that is a file itself, but it runs scripts beside it. */
function answerFromScript() {
  const root = document.documentElement.dataset.content_root;
  const loaded = new Promise((done) => {
    const script = document.createElement("script");
    script.src = `${root}_static/page_texts.js`;
    script.onload = done;
    document.head.append(script);
  });
  window.fetch = async (address) => {
    await loaded;
    const name = address.slice(root.length).replace(/\.html$/, "");
    return { text: () => `<div role="main">${PAGE_TEXTS[name] ?? ""}</div>` };
  };
}

/* What is wider than its place is scrolled by keys. */
function reachWide() {
  for (const part of document.querySelectorAll("article pre, article div.math, .table-wrapper"))
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
    else part.removeAttribute("tabindex");
}

for (const word of document.querySelectorAll("td code .pre")) word.classList.toggle("long", word.textContent.length > 24);
for (const cell of document.querySelectorAll("td")) cell.classList.toggle("short", cell.textContent.length < 9);
document.querySelectorAll("article div.highlight").forEach(addCopyButton);
for (const caption of document.querySelectorAll("p.caption[role=heading]")) caption.ariaLevel = 2;
for (const [drawer, name] of [["sidebar", "Pages"], ["toc", "Contents of this page"]])
  document.querySelector(`.${drawer}-drawer`)?.setAttribute("aria-label", name);
reachWide();
addEventListener("resize", reachWide);
if (location.protocol === "file:" && document.getElementById("search-results")) answerFromScript();
