"""The studio in a real browser: in JupyterLab, and as a page of Voilà for two visitors at once."""

import importlib.util
import re
import socket

import nbformat
import pytest
from browsing import (
    BIN,
    SECONDS,
    blank,
    chromium,  # noqa: F401 (the fixture `browser`)
    click,
    failures,
    kernel_is,
    lab,
    needs_browser,
    outputs,
    run_all,
    save,
    serving,
    wait,
)
from nbformat.v4 import new_code_cell, new_notebook
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from stylelib import gallery
from stylelib.studio_folder import settings

pytestmark = needs_browser

# ipywidgets makes a file input for each click and never puts it into the page, where a driver could find it.
CATCH_INPUTS = """
const click = HTMLInputElement.prototype.click;
HTMLInputElement.prototype.click = function () {
  if (this.type !== "file") return click.call(this);
  window.chosen = this;
  document.body.appendChild(this);
};
"""


def bring(browser, file, row=0):
    """Chooses a file with the button for the content, or for the style."""
    browser.execute_script(CATCH_INPUTS + "window.chosen = null")
    browser.find_elements(By.CSS_SELECTOR, ".stylelib .widget-upload")[row].click()
    browser.execute_script("return window.chosen").send_keys(str(file))


# Chromium's test camera is always allowed; this one is not, once.
FORBID_CAMERA = """
const media = navigator.mediaDevices, allowed = media.getUserMedia;
media.getUserMedia = () => {
  media.getUserMedia = allowed;
  return Promise.reject(new DOMException("no", "NotAllowedError"));
};
"""


def photograph_oneself(browser):
    """Takes a photograph with the camera, at the second try, after it was forbidden."""
    browser.execute_script(FORBID_CAMERA)
    press(browser, "Use the camera")
    wait(browser, says("not allowed to use the camera", ".stylelib-error"))
    press(browser, "Use the camera")
    video = "document.querySelector('.stylelib-camera video')"
    wait(browser, lambda page: page.execute_script(f"return {video}.videoWidth > 0 && !{video}.paused"))
    assert not says("camera", ".stylelib-error")(browser)
    press(browser, "Take the photograph")
    wait(browser, says("✓ photograph", ".stylelib-shelf button"))
    assert browser.execute_script(f"return {video}.srcObject === null"), "the camera is off"


def says(word, selector=".stylelib-badge"):
    """A wait until the studio says that."""
    return lambda page: any(word in each.text for each in page.find_elements(By.CSS_SELECTOR, selector))


def width(browser):
    return browser.find_element(By.CSS_SELECTOR, "img.stylelib-picture").get_property("naturalWidth")


def press(browser, text):
    click(browser, ".stylelib button", text)


def narrow(browser):
    """Makes the window that of a phone."""
    phone = {"width": 400, "height": 1400, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)


def fits(browser):
    """Does the studio lie within the window, and only the shelves of pictures scroll sideways?"""
    inside, scrolling = browser.execute_script("""
        const studio = document.querySelector(".stylelib").getBoundingClientRect();
        const scrolls = (box) => box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "visible";
        const boxes = [...document.querySelectorAll(".stylelib .widget-box")].filter(scrolls);
        const inside = studio.left >= 0 && studio.right <= innerWidth && studio.width > 240;
        return [inside, boxes.map((box) => box.className)];
    """)
    return inside and all("stylelib-shelf" in names for names in scrolling)


def complaints(browser):
    """Errors in the browser's console; Voilà asks a server far away for icons, which a test may be unable to reach."""
    errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    return [message for message in errors if not message.startswith("https://cdn.jsdelivr.net/")]


def small(cells):
    """The cells that the studio needs. nbval runs the others, and JupyterLab takes what is out of view off the page."""
    kept = [cell for cell in cells if cell.id in ("setup", "studio")]
    for cell in kept:
        cell.source = re.sub("^SIZE = .*|^plain = .*", "SIZE = 128", cell.source, flags=re.MULTILINE)
    return kept


def test_the_lesson_is_played_in_jupyterlab(tmp_path, browser):
    path = blank("09_studio.ipynb", tmp_path, small)
    photograph = tmp_path / "My cup.jpg"
    photograph.write_bytes(gallery.path("mosaic").read_bytes())
    (tmp_path / "letter.jpg").write_bytes(b"%PDF-1.7")
    made = path.parent / "studio_pictures"
    with lab(path, tmp_path) as address:
        run_all(browser, address)
        wait(browser, says("Preview"), SECONDS)
        wait(browser, kernel_is("idle"), SECONDS)
        bring(browser, tmp_path / "letter.jpg")
        wait(browser, says("letter.jpg is a PDF document", ".stylelib-error"))
        photograph_oneself(browser)
        bring(browser, photograph)
        wait(browser, says("✓ My cup", ".stylelib-shelf button"))
        handles = browser.find_elements(By.CSS_SELECTOR, ".stylelib .noUi-handle")
        handle = next(each for each in handles if each.is_displayed())
        before = handle.get_attribute("aria-valuenow")
        handle.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        wait(browser, lambda _: handle.get_attribute("aria-valuenow") != before)
        press(browser, "Run")
        wait(browser, lambda page: page.find_elements(By.CSS_SELECTOR, ".stylelib progress"))
        press(browser, "Stop")
        wait(browser, says("Stopped after"))
        one = width(browser)
        press(browser, "Side by side")
        wait(browser, lambda page: width(page) > 1.9 * one)
        click(browser, ".stylelib button", "Save")
        wait(browser, says("Download", ".stylelib a"))
        (file,) = made.glob("*.png")
        recipe = settings(file)
        assert recipe.stopped and "My_cup" in recipe.content and recipe.style_weight > 32
        assert fits(browser)
        save(browser)
        assert not failures(outputs(path, browser))
        browser.refresh()  # the kernel goes on without its page, and gives the studio back
        wait(browser, says("1: My cup", ".stylelib-shelf button"), SECONDS)
        narrow(browser)
        browser.find_element(By.TAG_NAME, "body").send_keys(Keys.CONTROL, "b")  # JupyterLab's side bar takes 300 pixels
        wait(browser, fits)
        assert complaints(browser) == []


@pytest.mark.skipif(importlib.util.find_spec("voila") is None, reason="Voilà is not here: uv sync --extra voila")
def test_two_visitors_of_a_page_do_not_see_each_others_pictures(tmp_path, browser):
    notebook = new_notebook(cells=[new_code_cell("from stylelib.studio import Studio\n\nStudio(size=128, steps=20)")])
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    nbformat.write(notebook, tmp_path / "page.ipynb")
    (tmp_path / "mine.jpg").write_bytes(gallery.path("mosaic").read_bytes())
    with socket.socket() as free:  # Voilà does not say which port it took, where it may choose
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [BIN / "voila", tmp_path / "page.ipynb", "--no-browser", f"--port={port}"]
    with serving(command, rf"http://localhost:{port}/", tmp_path) as address:
        browser.get(address)
        wait(browser, says("Preview"), SECONDS)
        first = browser.current_window_handle
        browser.switch_to.new_window("tab")
        browser.get(address)
        wait(browser, says("Preview"), SECONDS)
        browser.switch_to.window(first)
        bring(browser, tmp_path / "mine.jpg")
        wait(browser, says("✓ mine", ".stylelib-shelf button"))
        press(browser, "Run")
        wait(browser, says("Finished"))
        browser.switch_to.window(browser.window_handles[1])
        press(browser, "Run")
        wait(browser, says("Finished"))
        other = browser.find_element(By.CSS_SELECTOR, ".stylelib").text
        assert "mine" not in other and "1: astronaut" in other and "2:" not in other
        assert complaints(browser) == []
        assert fits(browser)
        narrow(browser)
        browser.refresh()
        wait(browser, says("Preview"), SECONDS)
        assert fits(browser)
        assert "Your pictures" not in browser.find_element(By.CSS_SELECTOR, ".stylelib").text
    assert not (tmp_path / "studio_pictures").exists()
