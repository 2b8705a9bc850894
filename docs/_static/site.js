/* Copies code blocks, and lets the search show its excerpts where the pages are opened as files. */

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

for (const word of document.querySelectorAll("td code .pre")) word.classList.toggle("long", word.textContent.length > 24);
for (const cell of document.querySelectorAll("td")) cell.classList.toggle("short", cell.textContent.length < 9);
document.querySelectorAll("article div.highlight").forEach(addCopyButton);
if (location.protocol === "file:" && document.getElementById("search-results")) answerFromScript();
