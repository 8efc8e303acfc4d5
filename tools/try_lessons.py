"""Every lesson as a learner meets it: in JupyterLab, in a real browser, run from top to bottom, every widget moved.

    uv run python tools/try_lessons.py                  # 12 minutes on two cores; needs Chromium and its driver
    uv run python tools/try_lessons.py 02 05 --look out # two of them; a picture of the page in out/ for each widget

Prints a line for each lesson; the exit status is 1 if a cell failed, a widget did not answer or the browser complained.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import browsing  # noqa: E402

# What is moved, and the keys that move it. The studio (09) has a test of its own.
CONTROLS = {
    ".widget-hslider .noUi-handle, .widget-slider .noUi-handle": (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT),
    ".widget-dropdown select": (Keys.ARROW_DOWN,),
    ".widget-toggle-button": (Keys.ENTER,),
    ".jupyter-button:not(.widget-toggle-button):not(:disabled)": (Keys.ENTER,),
}
SETTLED = 1.0  # seconds that a kernel is idle for, after which it is done


def settle(browser: WebDriver) -> None:
    """Waits until the kernel has been idle for a while."""
    since = time.monotonic()
    while time.monotonic() - since < SETTLED:
        if not browsing.kernel_is("idle")(browser):
            browsing.wait(browser, browsing.kernel_is("idle"), 60)
            since = time.monotonic()
        time.sleep(0.1)


def widgets(browser: WebDriver) -> Iterator[tuple[WebElement, tuple]]:
    """Each control of the page, and its keys. JupyterLab draws what comes into view, so the page is gone through."""
    seen = set()
    for cell in browser.find_elements(By.CSS_SELECTOR, ".jp-CodeCell"):
        with suppress(StaleElementReferenceException):
            browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
            time.sleep(0.2)
        for selector, keys in CONTROLS.items():
            for control in browser.find_elements(By.CSS_SELECTOR, selector):
                if control.id not in seen and control.is_displayed():
                    seen.add(control.id)
                    yield control, keys


def errors_shown(browser: WebDriver) -> list[str]:
    """Tracebacks that stand in the page, in an output or under a widget."""
    shown = browser.find_elements(
        By.CSS_SELECTOR, "[data-mime-type='application/vnd.jupyter.stderr'], .jp-RenderedText"
    )
    return [each.text[-300:] for each in shown if "Traceback" in each.text]


def play(browser: WebDriver, lesson: str, folder: Path, look: Path | None) -> tuple[int, list[str]]:
    """Runs a lesson and moves its widgets; how many there were, and what went wrong."""
    path = browsing.blank(lesson, folder)
    with browsing.lab(path, folder) as address:
        browsing.run_all(browser, address)
        browsing.wait(browser, browsing.kernel_is("busy"), 60)
        browsing.wait(browser, browsing.kernel_is("idle"), browsing.SECONDS)
        settle(browser)
        wrong, moved = [], 0
        for control, keys in widgets(browser):
            name = control.get_attribute("aria-label") or control.get_attribute("title") or control.text or "a control"
            try:
                control.send_keys(*keys)
                moved += 1
                settle(browser)
            except WebDriverException as error:
                wrong.append(f"{name}: {(error.msg or '').splitlines()[0]}")
            if look:
                browser.save_screenshot(look / f"{path.stem}_{moved:02}.png")
        wrong += errors_shown(browser)
        browsing.save(browser)
        failed = browsing.failures(browsing.outputs(path, browser))
        wrong += [str(output.get("evalue", output.get("text"))) for output in failed]
        wrong += [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    return moved, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", help="their numbers; none means all but the studio")
    parser.add_argument("--look", type=Path, help="a folder for pictures of the page")
    options = parser.parse_args()
    if options.look:
        options.look.mkdir(parents=True, exist_ok=True)
    lessons = [path.name for path in sorted(browsing.NOTEBOOKS.glob("[0-9]*.ipynb")) if not path.name.startswith("09")]
    bad = 0
    for lesson in lessons:
        if options.lessons and lesson[:2] not in options.lessons:
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, browsing.driver(Path(folder) / "profile") as browser:
            moved, wrong = play(browser, lesson, Path(folder), options.look)
        bad += bool(wrong)
        print(f"{lesson}: {moved} controls moved, {time.monotonic() - start:.0f} s", *wrong, sep="\n    ", flush=True)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
