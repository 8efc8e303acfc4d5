"""What the lecturer's page says about the lessons is what the lessons say."""

import re
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
PAGE = (NOTEBOOKS / "INSTRUCTOR.md").read_text()
SOURCES = {
    path.name[:2]: [cell.source for cell in nbformat.read(path, as_version=4).cells]
    for path in sorted(NOTEBOOKS.glob("*.ipynb"))
}


def exercises():
    """Lesson, number, name of the check, difficulty and minutes of every exercise, as the lessons have them."""
    for lesson, sources in SOURCES.items():
        for source in sources:
            if head := re.search(r"\*\*Exercise (\d+)\*\* · ([★☆]+) · (\d+) min", source):
                number, stars, minutes = head.groups()
            elif check := re.match(r"checks\.(\w+)\(my_", source):
                yield lesson, number, check[1], stars, minutes


def test_the_table_has_every_exercise_with_its_difficulty_and_minutes():
    row = r"^\| (\d\d) \| (\d) \| `(\w+)` \| ([★☆]+) \| ●+ \| (\d+) \|$"
    assert re.findall(row, PAGE, re.MULTILINE) == list(exercises())


def test_what_is_said_of_the_important_ones_adds_up():
    important = re.findall(r"●●● \| (\d+) \|$", PAGE, re.MULTILINE)
    assert len(important) == 15 and f"take {sum(map(int, important))} minutes" in PAGE
    assert 3 * 15 + 0.5 * (len(list(exercises())) - 15) == 60  # of 100 points


def test_every_section_that_is_named_is_there():
    named = re.findall(r"\b(\d\d), sections? (\d+)(?: and (\d+))?", PAGE)
    assert len(named) > 20
    for lesson, *numbers in named:
        for number in filter(None, numbers):
            assert any(f"## {number}. " in source for source in SOURCES[lesson]), f"{lesson}, section {number}"


def test_links_lead_somewhere():
    titles = re.findall("^## (.+)", PAGE, re.MULTILINE)
    headings = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        file, _, place = target.partition("#")
        assert (NOTEBOOKS / file).exists() if file else place in headings, target


def test_every_lesson_has_its_time_and_memory():
    measured = PAGE.split("## What each lesson takes")[1]
    assert re.findall(r"^\| (\d\d)\b", measured, re.MULTILINE) == sorted(SOURCES)
