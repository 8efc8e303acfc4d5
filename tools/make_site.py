"""The course as web pages, and slides for each lesson, from what is stored in the notebooks. Nothing is executed.

    uv run --group build python tools/make_site.py SITE      # then open SITE/index.html, from the folder itself

The pages need no server and no network: formulas are MathML, pictures are inside. SITE/slides has one deck for each
lesson, made of its predictions, figures, formulas, exercises and questions; arrow keys turn its pages, and the browser
prints it. Copy the folder to any web server to publish it.
"""

import argparse
import html
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mistune
import nbformat
import release
from latex2mathml.converter import convert
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

ROOT = Path(__file__).resolve().parent.parent
ASSETS = Path(__file__).with_name("site")
SKIPPED = re.compile(r"#.*(skip|[Dd]rawing only)")
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="{up}style.css">
</head>
<body class="{kind}">
{body}
</body>
</html>
"""


class Renderer(mistune.HTMLRenderer):
    """Markdown with MathML for formulas, names for headings, and links among the pages."""

    def __init__(self):
        super().__init__(escape=False)

    def inline_math(self, text: str) -> str:
        return mathml(text, "inline")

    def block_math(self, text: str) -> str:
        return f'<div class="formula">{mathml(text, "block")}</div>\n'

    def heading(self, text: str, level: int, **_) -> str:
        return f'<h{level} id="{anchor(text)}">{text}</h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, re.sub(r"\.ipynb(?=#|$)", ".html", url), title)

    def block_code(self, code: str, info: str | None = None) -> str:
        return colored(code) if info == "python" else super().block_code(code, info)

    def table(self, text: str) -> str:
        return f'<div class="wide"><table>{text}</table></div>\n'


def markdown(text: str) -> str:
    render = mistune.create_markdown(renderer=Renderer(), plugins=["table", "strikethrough", "math"])
    # mistune looks for formulas between paragraphs, and within a line.
    text = re.sub(r"^\$\$\n?(.+?)\n?\$\$$", r"\n$$\n\1\n$$\n", text, flags=re.DOTALL | re.MULTILINE)
    return render(re.sub(r"\$(?=\S)[^$`]+(?<=\S)\$", lambda formula: formula[0].replace("\n", " "), text))


def mathml(formula: str, display: str) -> str:
    formula = re.sub(r"\\[Bb]ig+[lr]?\b", "", formula)  # parentheses grow by themselves
    return convert(formula.replace("{aligned}", "{align*}"), display=display)  # latex2mathml knows this one only


def colored(code: str) -> str:
    return highlight(code, PythonLexer(), HtmlFormatter())


def anchor(heading: str) -> str:
    """What a link to this heading says behind its #."""
    return re.sub(r"\W+", "-", re.sub(r"<[^>]*>", "", heading).lower()).strip("-")


def words(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


@dataclass(frozen=True)
class Lesson:
    name: str
    notebook: NotebookNode

    @property
    def title(self) -> str:
        return f"{self.name[:2]} {self.notebook.cells[0].source.splitlines()[0].lstrip('# ')}"

    @property
    def about(self) -> str:
        return re.search(r"\*\*What you'll do\.\*\* (.+?)\n\n", self.notebook.cells[0].source, re.DOTALL)[1]

    @property
    def minutes(self) -> str:
        return re.search(r"\*\*Time:\*\*\s+(\d+) minutes", self.notebook.cells[0].source)[1]


def lessons() -> list[Lesson]:
    paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
    return [Lesson(path.stem, nbformat.read(path, as_version=4)) for path in paths]


# --- pages ---


def page(lesson: Lesson, course: list[Lesson]) -> str:
    body = [navigation(lesson, course), "<main>", *map(cell_markup, lesson.notebook.cells), "</main>", "<footer>"]
    body += [f'<a href="slides/{lesson.name}.html">Slides of this lesson</a>', "</footer>"]
    return PAGE.format(title=html.escape(lesson.title), up="", kind="lesson", body="\n".join(body))


def navigation(here: Lesson | None, course: list[Lesson]) -> str:
    links = ['<a href="index.html">Start</a>']
    for lesson in course:
        current = ' aria-current="page"' if lesson == here else ""
        title = html.escape(lesson.title)
        links.append(f'<a href="{lesson.name}.html" title="{title}"{current}>{lesson.name[:2]}</a>')
    return f'<nav aria-label="Lessons">{" ".join(links)}</nav>'


def cell_markup(cell: NotebookNode) -> str:
    if cell.cell_type == "markdown":
        return markdown(cell.source)
    code = colored(cell.source)
    if SKIPPED.match(cell.source):
        code = f"<details><summary>Code of the next figure</summary>{code}</details>"
    return "\n".join([code, *map(output_markup, cell.outputs)])


def output_markup(output: NotebookNode) -> str:
    if output.output_type == "stream":
        return f'<pre class="output">{html.escape(output.text)}</pre>'
    for kind in ("image/png", "image/jpeg"):
        if kind in output.data:
            alt = html.escape(output.metadata[kind]["alt"])
            return f'<img alt="{alt}" src="data:{kind};base64,{output.data[kind].strip()}">'
    if "text/html" in output.data:
        return output.data["text/html"]
    return '<p class="output">Here is something to play with: open the lesson in JupyterLab.</p>'


def index(course: list[Lesson]) -> str:
    rows = [
        f'<li><a href="{lesson.name}.html">{html.escape(lesson.title)}</a> '
        f"{markdown(lesson.about).strip().removeprefix('<p>').removesuffix('</p>')} "
        f'<span class="minutes">{lesson.minutes} minutes · <a href="slides/{lesson.name}.html">slides</a></span></li>'
        for lesson in course
    ]
    body = f"""{navigation(None, course)}
<main>
<h1>Neural style transfer, from the pixels up</h1>
<p>A course of notebooks. These pages are for reading: to run them and to do the exercises, install the course.</p>
<form role="search" onsubmit="return false">
<label for="query">Search the lessons</label> <input id="query" type="search" autocomplete="off">
<ol id="found" aria-live="polite"></ol>
</form>
<ul class="lessons">
{"".join(rows)}
</ul>
</main>
<script src="sections.js"></script>
<script src="search.js"></script>"""
    return PAGE.format(title="stylelib: neural style transfer", up="", kind="index", body=body)


def sections(course: list[Lesson]) -> list[dict[str, str]]:
    """What search looks through: each section of each lesson, in words."""
    found = []
    for lesson in course:
        texts = [markdown(cell.source) for cell in lesson.notebook.cells if cell.cell_type == "markdown"]
        for part in re.split(r"(?=<h[123] )", "".join(texts))[1:]:
            place, heading, text = re.match(r'<h\d id="([^"]*)">(.*?)</h\d>(.*)', part, re.DOTALL).groups()
            title = f"{lesson.name[:2]} · {words(heading)}"
            found.append({"page": f"{lesson.name}.html#{place}", "title": title, "text": words(text)})
    return found


# --- slides ---


def slides(lesson: Lesson) -> str:
    body = "\n".join(f"<section>{slide}</section>" for slide in slide_markup(lesson))
    body += '\n<script src="../slides.js"></script>'
    return PAGE.format(title=html.escape(lesson.title), up="../", kind="slides", body=body)


def slide_markup(lesson: Lesson) -> Iterator[str]:
    """Title; then in the order of the lesson what a lecturer shows: predictions, formulas, figures, exercises."""
    first = lesson.notebook.cells[0].source.split("**What you'll learn**")
    yield f"<h1>{html.escape(lesson.title)}</h1>{markdown(lesson.about)}{markdown(first[-1].split('**What you')[0])}"
    heading, figures = "", []
    for cell in lesson.notebook.cells[1:]:
        if cell.cell_type == "code":
            figures += [markup for markup in map(output_markup, cell.outputs) if markup.startswith("<img")]
            continue
        before, paragraphs = "", blocks(cell.source)
        for number, block in enumerate(paragraphs):
            if block.startswith("#"):
                heading = markdown("## " + block.lstrip("# "))
                if "Recap" in block:
                    yield heading + markdown(cell.source.partition("\n")[2])
            elif block.startswith("*The figure") and figures:
                yield from (f"{heading}{figure}{markdown(block)}" for figure in figures)
                figures = []
            elif block.startswith("**Exercise"):
                yield heading + markdown("\n\n".join(paragraphs[number:]))
                break
            elif re.match(r"\*\*(Predict|\d)\.", block):
                yield heading + markdown(block)
            elif (block.startswith("<details") and re.match(r"\*\*(Predict|\d\.)", before)) or block.startswith("$$"):
                yield heading + markdown(before) + markdown(block)
            before = block


def blocks(source: str) -> list[str]:
    """The paragraphs of a cell; what is folded stays one."""
    found = re.findall(r"<details>.*?</details>|(?:(?!<details>|\n\n).)+", source, re.DOTALL)
    return [block.strip() for block in found if block.strip()]


def write(folder: Path) -> None:
    course = lessons()
    (folder / "slides").mkdir()
    for lesson in course:
        (folder / f"{lesson.name}.html").write_text(page(lesson, course), encoding="utf-8")
        (folder / "slides" / f"{lesson.name}.html").write_text(slides(lesson), encoding="utf-8")
    (folder / "index.html").write_text(index(course), encoding="utf-8")
    (folder / "sections.js").write_text(f"const SECTIONS = {json.dumps(sections(course))};\n", encoding="utf-8")
    style = HtmlFormatter(style="xcode").get_style_defs(".highlight")
    (folder / "style.css").write_text((ASSETS / "style.css").read_text() + style, encoding="utf-8")
    for name in ("search.js", "slides.js"):
        shutil.copy(ASSETS / name, folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="SITE", help="a new folder")
    release.write_whole(parser.parse_args().folder, write)


if __name__ == "__main__":
    main()
