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
