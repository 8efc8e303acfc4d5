"""The course as web pages and slides: everything is in them, and every link leads somewhere."""

import re
from pathlib import Path

import browsing
import pytest
from browsing import chromium  # noqa: F401 (the fixture `browser`)

TOOLS = Path(__file__).parent.parent / "tools"


@pytest.fixture(scope="module")
def tool():
    pytest.importorskip("latex2mathml")  # of the group `build`, as nbgrader
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TOOLS)
        import make_site

        yield make_site


@pytest.fixture(scope="module")
def site_folder(tool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    tool.write(folder)
    return folder


@pytest.fixture(scope="module")
def site(site_folder):
    files = (path for path in site_folder.rglob("*") if path.is_file())
    return {path.relative_to(site_folder).as_posix(): path.read_text() for path in files}


def pages(site):
    return {name: text for name, text in site.items() if name.endswith(".html")}


def test_links_of_the_site_lead_to_pages_and_headings_that_are_there(site):
    names = {name: set(re.findall(r'id="([^"]+)"', text)) for name, text in pages(site).items()}
    for name, text in pages(site).items():
        for target in re.findall(r'(?:href|src)="([^"]+)"', text):
            if not re.match("https?:|data:", target):
                file, _, place = target.partition("#")
                parts = [*name.split("/")[:-1], *file.split("/")]
                while ".." in parts:
                    at = parts.index("..")
                    del parts[at - 1 : at + 1]
                assert "/".join(parts) in site, f"{name} links to {target}"
                assert not place or place in names["/".join(parts)], f"{name} links to {target}"
    for page, place in re.findall(r'"page": "([^"#]+)#([^"]+)"', site["sections.js"]):
        assert place in names[page]


def test_the_site_needs_no_network_and_tells_its_pictures_in_words(site):
    for name, text in pages(site).items():
        assert not re.findall(r'(?:<script|<link|<img)[^>]+"https?:', text), name
        assert all(re.search(r'alt="[^"]{20,}"', image) for image in re.findall("<img [^>]+>", text)), name
    assert sum(text.count("<img") for name, text in pages(site).items() if "/" not in name) > 100


def test_formulas_of_the_site_are_mathml(site):
    for name, text in pages(site).items():
        prose = re.sub(r'<div class="highlight">.*?</div>|<pre.*?</pre>|<code>.*?</code>', "", text, flags=re.DOTALL)
        assert not re.findall(r"\$[^$<]{1,80}\$|\\\\[a-z]+", re.sub(r"base64,[^\"]*", "", prose)), name
        assert "<mi>&</mi>" not in prose and "linebreak" not in prose, f"{name} has an unknown environment"
    assert site["04_gram_matrices.html"].count("<math") > 100


def test_slides_of_the_site_have_the_figures_exercises_and_questions_of_the_lesson(site, tool):
    lesson = next(lesson for lesson in tool.lessons() if lesson.name == "04_gram_matrices")
    deck = site["slides/04_gram_matrices.html"]
    assert deck.count("<strong>Exercise") == 6 and deck.count("<img") >= 11
    predictions = sum(cell.source.count("**Predict.**") for cell in lesson.notebook.cells)
    assert 0 < predictions <= deck.count("<strong>Predict.")
    loops = site["slides/05_optimization_loop.html"].split("<section>")
    (loop,) = (slide for slide in loops if "<strong>Exercise 2" in slide)
    assert loop.count("<li>") == 4  # all that the exercise asks for


def test_paragraphs_of_the_site_stay_whole_where_they_are_folded(tool):
    text = "One\ntwo.\n\n<details><summary>Answer</summary>\n\nA.\n\nB.\n</details>\n\nThree."
    assert tool.blocks(text) == ["One\ntwo.", text.split("\n\n", 1)[1].removesuffix("\n\nThree."), "Three."]
    assert "<math" in tool.markdown("so $a +\nb$ is") and "\n" not in tool.markdown("$a +\nb$").strip()


@browsing.needs_browser
def test_every_slide_fits_the_screen_its_answers_unfolded_too(site_folder, browser):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 1280, "height": 720, "deviceScaleFactor": 1, "mobile": False}
    )
    tall = "return [...document.querySelectorAll('section')].filter((page) => page.offsetHeight > innerHeight + 1)"
    decks = sorted((site_folder / "slides").glob("*.html"))
    assert len(decks) == 11
    for deck in decks:
        browser.get(deck.as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach((answer) => (answer.open = true))")
        browsing.wait(browser, lambda page: page.execute_script(tall) == [], 10)
