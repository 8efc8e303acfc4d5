"""JupyterLab as a newcomer starts it, and a real browser to drive it: what tests with Chromium share.

Needs Debian's chromium and chromium-driver (or Chrome and its driver on the PATH).
"""

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
BIN = Path(sys.executable).parent
CHROME = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SECONDS = 150
FLEETING = [NoSuchElementException, StaleElementReferenceException]  # the page is being drawn

needs_browser = pytest.mark.skipif(not (CHROME and DRIVER), reason="no Chromium with its driver on this machine")


@contextmanager
def serving(command, address, folder):
    """A server, started with `command`; gives what `address` matches in its log."""
    log = folder / "server.log"
    # A newcomer's: without the settings, and the open tabs, of whoever runs this test.
    home = {"JUPYTER_CONFIG_DIR": folder / "config", "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces"}
    environment = os.environ | {name: str(place) for name, place in home.items()}
    with log.open("w") as output:
        server = subprocess.Popen(command, stderr=output, stdout=output, env=environment, cwd=folder)
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(address, log.read_text())):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield found.group()
    finally:
        server.terminate()
        server.wait(timeout=20)


@contextmanager
def lab(path, folder):
    """JupyterLab started as the README says; gives its address, with that notebook open."""
    command = [BIN / "jupyter", "lab", path, "--no-browser", "--port=0"]
    with serving(command, r"http://localhost:\d+/lab\?token=\S+", folder) as address:
        # The log names the server; the browser that the command would open goes on to the notebook.
        yield address.replace("/lab", f"/lab/tree/{path.name}", 1)


def blank(name, folder, change=lambda cells: cells):
    """A copy of all notebooks, the named one without outputs, so that every output found later is new; its file."""
    path = shutil.copytree(NOTEBOOKS, folder / "notebooks") / name
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = change(notebook.cells)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, path)
    return path


@contextmanager
def driver(profile):
    """Chromium without a window, with a new profile in that folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROME
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,2400"):
        options.add_argument(argument)
    for argument in ("--disable-background-networking", "--disable-component-update", "--disable-sync"):
        options.add_argument(argument)  # no calls home at every start
    for argument in ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"):
        options.add_argument(argument)  # a camera that sees a test picture, and somebody who allows it
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        yield browser
    finally:
        browser.quit()


@pytest.fixture(name="browser")
def chromium(tmp_path):
    with driver(tmp_path / "profile") as browser:
        yield browser


def wait(browser, until, seconds=SECONDS):
    """Waits until that is true of the page."""
    return WebDriverWait(browser, seconds, 0.1, ignored_exceptions=FLEETING).until(until)


def click(browser, selector, text):
    """Clicks the element of that kind which says `text`, once it is there."""

    def done(_):
        for element in browser.find_elements(By.CSS_SELECTOR, selector):
            if element.text.strip() == text and element.is_displayed() and element.is_enabled():
                element.click()
                return True
        return False

    wait(browser, done, 60)


def run_all(browser, address):
    """Opens a notebook in JupyterLab and runs its cells."""
    browser.get(address)
    wait(browser, kernel_is_ready, 60)
    click(browser, ".lm-MenuBar-item", "Run")
    click(browser, ".lm-Menu-itemLabel", "Run All Cells")


def save(browser):
    click(browser, ".lm-MenuBar-item", "File")
    click(browser, ".lm-Menu-itemLabel", "Save Notebook")


def outputs(path, browser):
    """What every cell has put out, from the file that JupyterLab saved: cells out of view are not in the page."""

    def saved(_):
        try:
            notebook = nbformat.read(path, as_version=4)
        except nbformat.reader.NotJSONError:
            return None  # it is being written
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        return cells if all(cell.execution_count for cell in cells) else None

    return [output for cell in wait(browser, saved, 30) for output in cell.outputs]


def failures(outputs):
    return [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def kernel_is(status):
    """A wait until JupyterLab's own indicator says that the kernel is idle or busy."""
    selector = f".jp-Notebook-ExecutionIndicator[data-status={status}]"
    return lambda browser: browser.find_elements(By.CSS_SELECTOR, selector)


def kernel_is_ready(browser):
    """Whether the status bar names a kernel that is idle.

    The notebook's own indicator says idle before there is a kernel, and Run All then does nothing.
    """
    return "(ipykernel) | Idle" in browser.find_element(By.ID, "jp-main-statusbar").text
