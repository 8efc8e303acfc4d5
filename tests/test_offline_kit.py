"""The kit for machines without internet. To download its wheels and to install them takes minutes: tried by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision import models

from stylelib import backbones, gallery

TOOLS = Path(__file__).parent.parent / "tools"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    import offline_kit

    return offline_kit


def test_pins_for_pip_are_the_lock_without_its_hashes(tool):
    lock = "a==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:ff\nb==2 ; os_name == 'nt' \\\n    --hash=sha256:11\n"
    assert tool.without_hashes(lock) == "a==1.0\nb==2 ; os_name == 'nt'\n"
    assert "--hash" not in tool.without_hashes(tool.LOCK.read_text())


def test_a_network_of_the_kit_is_the_downloaded_one_to_three_digits(tool, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(backbones, "DATA", tmp_path / "data")
    file = backbones.weights_file("squeezenet1_0")
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(models.squeezenet1_0(weights=None).state_dict(), file)
    image = gallery.load("waves", size=64)

    def features():
        return backbones.load_backbone("squeezenet1_0", mixed=False)(image, ["fire7"])["fire7"]

    downloaded = features()
    half = tmp_path / "data" / "squeezenet1_0_features.pt"
    tool.save_half("squeezenet1_0", half)
    file.unlink()
    carried = features()
    assert half.stat().st_size < 0.35 * 5e6 and carried.dtype == torch.float32
    assert not torch.equal(carried, downloaded)  # this one was really read
    assert (carried - downloaded).norm() < 1e-3 * downloaded.norm()
    tool.save_half("squeezenet1_0", tmp_path / "again.pt")  # a kit may be made from a kit
    assert {key: value.dtype for key, value in torch.load(tmp_path / "again.pt").items()}["0.weight"] == torch.half


def install(kit, folder):
    return subprocess.run([sys.executable, kit / "install.py", folder], capture_output=True, text=True)


def test_the_installer_says_what_it_cannot_do_and_leaves_nothing_half(tool, tmp_path):
    kit, folder = tmp_path / "kit", tmp_path / "lab"
    (kit / "wheels").mkdir(parents=True)
    (kit / "install.py").write_text((TOOLS / "offline_install.py").read_text())
    (kit / "kit.json").write_text(json.dumps(tool.HERE | {"python": "3.99"}))
    assert "This kit is for Python 3.99 on" in install(kit, folder).stderr
    (kit / "kit.json").write_text(json.dumps(tool.HERE))
    assert "exists already; name a new folder" in install(kit, tmp_path).stderr
    assert "Nothing was installed" in install(kit, folder).stderr and not folder.exists()  # no pip among the wheels
