"""`import stylelib` and a run with slim load what they use: torch, and none of the slow libraries beside it."""

import subprocess
import sys

import pytest

# torchvision, sympy and torch's compiler each take seconds; scikit-image, pooch, matplotlib and ipywidgets add up.
SLOW = {"torchvision", "torch._dynamo", "sympy", "skimage", "pooch", "matplotlib", "ipywidgets"}
TRANSFER = """
from stylelib import gallery, save_image, stylize
result = stylize(gallery.load("chelsea", 64), gallery.load("waves", 64), size=64, steps=3)
save_image(result.image, "out.png")
"""
# What lesson 00 and lesson 05 do besides.
FORECAST = """
from stylelib import doctor
doctor.report("cpu")
"""
ADAM = """
import torch
from stylelib import Objective, load_backbone, optimize
picture = torch.rand(1, 3, 64, 64)
print(len(list(optimize(picture, Objective(load_backbone("slim"), picture, picture), 3, optimizer="adam"))))
"""


def loaded(code, folder):
    """The modules of a new process at the end of `code`."""
    code += "\nimport sys; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True).stdout
    return set(output.split())


def test_a_whole_transfer_loads_no_slow_library(tmp_path):
    modules = loaded(TRANSFER, tmp_path)
    assert {"torch", "stylelib.transfer"} <= modules
    assert not SLOW & modules


@pytest.mark.parametrize("code", [FORECAST, ADAM], ids=["a forecast", "Adam"])
def test_neither_of_them_loads_torchs_compiler(code, tmp_path):
    assert not loaded(code, tmp_path) & {"torch._dynamo", "sympy"}


def test_the_looking_glass_sees_them(tmp_path):
    assert loaded("import pooch, torch", tmp_path) & SLOW == {"pooch"}
