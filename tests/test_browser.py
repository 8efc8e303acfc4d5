"""A newcomer's first minutes: the README's command, JupyterLab in a real browser, Run All, a picture."""

from browsing import (
    SECONDS,
    blank,
    chromium,  # noqa: F401 (the fixture `browser`)
    failures,
    kernel_is,
    lab,
    needs_browser,
    outputs,
    run_all,
    save,
    wait,
)
from selenium.webdriver.common.by import By

pytestmark = needs_browser


def preview_width(browser):
    """Width of the picture in the live preview; None before there is one."""
    pictures = browser.find_elements(By.CSS_SELECTOR, ".jupyter-widgets img, img.widget-image")
    return int(pictures[0].get_property("naturalWidth") or 0) if pictures else None


def test_run_all_in_jupyterlab_paints_a_picture_with_a_live_preview(tmp_path, browser):
    path = blank("00_start_here.ipynb", tmp_path)
    with lab(path, tmp_path) as address:
        run_all(browser, address)
        wait(browser, preview_width, SECONDS)
        assert kernel_is("busy")(browser), "the preview must show a picture while the cell still runs"
        wait(browser, kernel_is("idle"), SECONDS)
        save(browser)
        found = outputs(path, browser)
        assert not failures(found)
        kinds = [kind for output in found for kind in output.get("data", {})]
        assert kinds.count("image/jpeg") == 4 and kinds.count("image/png") == 1 and kinds.count("text/html") == 5
        described = browser.find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output details")
        assert any("photograph" in words.get_property("textContent") for words in described), "told in words"
