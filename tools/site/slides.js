// Arrow keys, space and a presenter's remote turn the pages; without a script one scrolls.
const pages = [...document.querySelectorAll("section")];
const here = () => pages.findIndex((page) => page.getBoundingClientRect().bottom > innerHeight / 2);
const turn = { ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1 };

document.addEventListener("keydown", (event) => {
  if (!(event.key in turn) || event.target.tagName === "SUMMARY") return;
  event.preventDefault();
  const next = pages[Math.min(pages.length - 1, Math.max(0, here() + turn[event.key]))];
  next.scrollIntoView({ behavior: "instant" });
});

// What is taller than the screen is set smaller, as far as it can still be read from the last row: an answer that is
// unfolded, a long exercise.
function fit(page) {
  for (let size = 1; size >= 0.5; size -= 0.05) {
    page.style.fontSize = `${size}em`;
    if (page.offsetHeight <= innerHeight + 1) return;
  }
}

const fitAll = () => pages.forEach(fit);
addEventListener("load", fitAll);
addEventListener("resize", fitAll);
document.addEventListener("toggle", (event) => fit(event.target.closest("section")), true);
