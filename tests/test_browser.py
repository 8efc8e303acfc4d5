"""A newcomer's first minutes: the README's command, JupyterLab in a real browser, Run All, a picture.

Needs Debian's chromium and chromium-driver (or Chrome and its driver on the PATH); skipped where they are missing.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

FIRST = "00_start_here.ipynb"
NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
CHROME = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SECONDS = 150

pytestmark = pytest.mark.skipif(not (CHROME and DRIVER), reason="no Chromium with its driver on this machine")


@pytest.fixture
def lab(tmp_path):
    """JupyterLab started as the README says, on a copy of the notebooks; gives its address and the file."""
    folder = shutil.copytree(NOTEBOOKS, tmp_path / "notebooks")
    path = folder / FIRST
    blank = nbformat.read(path, as_version=4)
    for cell in blank.cells:
        if cell.cell_type == "code":  # so that every output found later was made in this browser
            cell.outputs, cell.execution_count = [], None
    nbformat.write(blank, path)
    log = tmp_path / "lab.log"
    command = [Path(sys.executable).parent / "jupyter", "lab", path, "--no-browser"]
    # A newcomer's JupyterLab: without the settings, and the open tabs, of whoever runs this test.
    home = {"JUPYTER_CONFIG_DIR": tmp_path / "config", "JUPYTERLAB_WORKSPACES_DIR": tmp_path / "workspaces"}
    environment = os.environ | {name: str(folder) for name, folder in home.items()}
    with log.open("w") as output:
        server = subprocess.Popen([*command, "--port=0"], stderr=output, stdout=output, env=environment)
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"http://localhost:\d+/lab\?token=\S+", log.read_text())):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        # The log names the server; the browser that the command would open goes on to the notebook.
        yield found.group().replace("/lab", f"/lab/tree/{FIRST}", 1), path
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROME
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,2400"):
        options.add_argument(argument)
    for argument in ("--disable-background-networking", "--disable-component-update", "--disable-sync"):
        options.add_argument(argument)  # no calls home at every start
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def click(browser, selector, text):
    """Clicks the element of that kind which says `text`, once it is there."""

    def find(_):
        elements = browser.find_elements(By.CSS_SELECTOR, selector)
        return next((element for element in elements if element.text.strip() == text and element.is_displayed()), None)

    WebDriverWait(browser, 60).until(find).click()


def kernel_is(status):
    """A wait until JupyterLab's own indicator says that the kernel is idle or busy."""
    selector = f".jp-Notebook-ExecutionIndicator[data-status={status}]"
    return lambda browser: browser.find_elements(By.CSS_SELECTOR, selector)


def kernel_is_ready(browser):
    """Whether the status bar names a kernel that is idle.

    The notebook's own indicator says idle before there is a kernel, and Run All then does nothing.
    """
    return "(ipykernel) | Idle" in browser.find_element(By.ID, "jp-main-statusbar").text


def preview_width(browser):
    """Width of the picture in the live preview; None before there is one."""
    pictures = browser.find_elements(By.CSS_SELECTOR, ".jupyter-widgets img, img.widget-image")
    return int(pictures[0].get_property("naturalWidth") or 0) if pictures else None


def test_run_all_in_jupyterlab_paints_a_picture_with_a_live_preview(lab, browser):
    address, path = lab
    browser.get(address)
    WebDriverWait(browser, 60, ignored_exceptions=[NoSuchElementException]).until(kernel_is_ready)
    click(browser, ".lm-MenuBar-item", "Run")
    click(browser, ".lm-Menu-itemLabel", "Run All Cells")
    WebDriverWait(browser, SECONDS).until(preview_width)
    assert kernel_is("busy")(browser), "the preview must show a picture while the cell still runs"
    WebDriverWait(browser, SECONDS).until(kernel_is("idle"))
    click(browser, ".lm-MenuBar-item", "File")
    click(browser, ".lm-Menu-itemLabel", "Save Notebook")

    def saved(_):
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        return cells if all(cell.execution_count for cell in cells) else None

    # What JupyterLab saved, not what it shows: cells out of view are not in the page.
    outputs = [output for cell in WebDriverWait(browser, 30).until(saved) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    assert kinds.count("image/jpeg") == 4 and kinds.count("image/png") == 1 and kinds.count("text/html") == 5
    described = browser.find_elements(By.CSS_SELECTOR, ".jp-OutputArea-output details")
    assert any("photograph" in words.get_property("textContent") for words in described), "figures are told in words"
