// Sections that have every word of the query; those with a word in the heading come first.
const query = document.getElementById("query"), found = document.getElementById("found");

function excerpt(text, word) {
  const at = Math.max(0, text.toLowerCase().indexOf(word) - 60);
  return (at ? "… " : "") + text.slice(at, at + 160) + " …";
}

function search() {
  const wanted = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  const headed = (section) => wanted.some((word) => section.title.toLowerCase().includes(word));
  const matches = wanted.length
    ? SECTIONS.filter((section) => wanted.every((word) => (section.title + section.text).toLowerCase().includes(word)))
    : [];
  matches.sort((a, b) => headed(b) - headed(a));
  found.replaceChildren(...matches.slice(0, 20).map((section) => {
    const item = document.createElement("li"), link = document.createElement("a"), more = document.createElement("small");
    link.href = section.page;
    link.textContent = section.title;
    more.textContent = excerpt(section.text.trim(), wanted[0]);
    item.append(link, more);
    return item;
  }));
  if (wanted.length && !matches.length) found.textContent = "No section has all of these words.";
}

query.addEventListener("input", search);
search(); // a browser that goes back keeps what was typed
