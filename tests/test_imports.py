"""`import stylelib` and an evaluation of slim load what they use: torch, and none of the slow libraries beside it."""

import subprocess
import sys

# torchvision, sympy and torch's compiler each take seconds; scikit-image, pooch, matplotlib and ipywidgets add up.
SLOW = {"torchvision", "torch._dynamo", "sympy", "skimage", "pooch", "matplotlib", "ipywidgets"}
TRANSFER = """
from stylelib import Objective, gallery, load_backbone, save_image
image = gallery.load("chelsea", 64)
Objective(load_backbone("slim"), image, image)(image.requires_grad_())["total"].backward()
save_image(image, "out.png")
"""


def loaded(code, folder):
    """The modules of a new process at the end of `code`."""
    code += "\nimport sys; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True).stdout
    return set(output.split())


def test_an_evaluation_loads_no_slow_library(tmp_path):
    modules = loaded(TRANSFER, tmp_path)
    assert {"torch", "stylelib.objective"} <= modules
    assert not SLOW & modules


def test_the_looking_glass_sees_them(tmp_path):
    assert loaded("import pooch, torch", tmp_path) & SLOW == {"pooch"}
