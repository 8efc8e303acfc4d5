"""A newcomer's first minutes: the README's command, JupyterLab in a real browser, Run All, a picture.

Needs Debian's chromium and chromium-driver (or Chrome and its driver on the PATH); skipped where they are missing.
"""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as expect
from selenium.webdriver.support.ui import WebDriverWait

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
CHROME = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SECONDS = 150

pytestmark = pytest.mark.skipif(not (CHROME and DRIVER), reason="no Chromium with its driver on this machine")


@pytest.fixture
def lab(tmp_path):
    """JupyterLab started as the README says, on a copy of the notebooks; gives its address with the token."""
    folder = shutil.copytree(NOTEBOOKS, tmp_path / "notebooks")
    log = tmp_path / "lab.log"
    command = [Path(sys.executable).parent / "jupyter", "lab", folder / "00_start_here.ipynb", "--no-browser"]
    with log.open("w") as output:
        server = subprocess.Popen([*command, "--port=0"], stderr=output, stdout=output)
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"http://localhost:\d+/lab\?token=\S+", log.read_text())):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        # The log names the server; the browser that the command would open goes on to the notebook.
        yield found.group().replace("/lab", "/lab/tree/00_start_here.ipynb", 1)
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


def prompts(browser):
    """What stands in front of each code cell: [1], [*], …; cells out of view count too."""
    elements = browser.find_elements(By.CSS_SELECTOR, ".jp-CodeCell .jp-InputArea-prompt")
    return [element.get_attribute("textContent").strip() for element in elements]


def test_run_all_in_jupyterlab_paints_a_picture_with_a_live_preview(lab, browser, tmp_path):
    browser.get(lab)
    WebDriverWait(browser, 60).until(expect.presence_of_element_located((By.CSS_SELECTOR, ".jp-CodeCell")))
    WebDriverWait(browser, 60).until(
        lambda _: browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook-ExecutionIndicator[data-status=idle]")
    )
    click(browser, ".lm-MenuBar-item", "Run")
    click(browser, ".lm-Menu-item", "Run All Cells")

    preview = ".widget-image, .jupyter-widgets img"
    WebDriverWait(browser, SECONDS).until(lambda _: browser.find_elements(By.CSS_SELECTOR, preview))
    assert "[*]:" in prompts(browser), "the preview must appear while the cell still runs"

    WebDriverWait(browser, SECONDS).until(lambda _: "[*]:" not in prompts(browser) and "[1]:" in prompts(browser))
    browser.save_screenshot(str(tmp_path / "lab.png"))
    errors = browser.find_elements(By.CSS_SELECTOR, "[data-mime-type='application/vnd.jupyter.error']")
    assert not errors, errors[0].text
    (picture,) = browser.find_elements(By.CSS_SELECTOR, preview)
    assert int(picture.get_property("naturalWidth")) > 100
    figures = browser.find_elements(By.CSS_SELECTOR, ".jp-RenderedImage img")
    assert len(figures) == 4
    assert all(int(figure.get_property("naturalWidth")) > 300 for figure in figures)
