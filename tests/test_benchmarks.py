"""The benchmark runs, on tiny pictures, and ends with the line that others read."""

import json
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from torchvision import models

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import growth
import lessons
import loop as benchmark

from stylelib.backbones import weights_file


@pytest.fixture(autouse=True)
def weights(monkeypatch, tmp_path):
    """Random weights where torchvision looks for trained ones: the tests need no download."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = weights_file("squeezenet1_0")
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(models.squeezenet1_0(weights=None).state_dict(), file)
    monkeypatch.setattr(models.SqueezeNet1_0_Weights.IMAGENET1K_V1.__class__, "get_state_dict", _from_file(file))


def _from_file(file):
    return lambda weights, **options: torch.load(file, weights_only=True)


def test_a_dry_run_ends_with_the_ratios(capsys):
    """The GPU's section too: it runs on any device."""
    benchmark.main(["--quick", "--json", "--only", "evaluation", "objective", "slim", "gpu", "process", "studio"])
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    for name in (
        "vgg19_evaluation_over_plain",
        "vgg19_evaluation_over_floor",
        "slim_transfer_speedup",
        "vgg19_run_speedup",
        "vgg19_run_over_floor",
        "slim_evaluation_over_floor",
        "process_over_transfer_and_imports",
        "studio_thread_over_main",
    ):
        assert figures[name] > 0
    assert "time_to_objective_speedup" in figures  # null where six evaluations do not get there
    assert figures["vgg19_default_over_best"] >= 1 and figures["processor"]


def test_a_section_runs_alone(capsys):
    benchmark.main(["--quick", "--json", "--only", "objective"])
    assert set(json.loads(capsys.readouterr().out.splitlines()[-1])) == {
        "processor",
        "device",
        "threads",
        "time_to_objective_speedup",
    }


@pytest.mark.parametrize("name", ["vgg19", "squeezenet1_0"])
def test_the_plain_loop_minimizes_the_same_function(name):
    content, style = torch.rand(2, 1, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    backbone = benchmark.untrained(name, torch.device("cpu"), mixed=False)
    objective = benchmark.Objective(backbone, content, style)
    plain = benchmark.PlainObjective(objective.backbone, content, style)
    benchmark.check_same(plain, objective, content)
    plain.grams = {layer: 2 * gram for layer, gram in plain.grams.items()}
    with pytest.raises(AssertionError, match="different functions"):
        benchmark.check_same(plain, objective, content)


def test_a_race_finds_who_is_first():
    class Countdown:
        device = torch.device("cpu")

        def __init__(self, rate):
            self.total, self.rate = 1.0, rate

        def __call__(self, image):
            self.total *= self.rate
            return {"total": torch.tensor(self.total)}

    watched = {"slow": benchmark.Watched(Countdown(0.9)), "fast": benchmark.Watched(Countdown(0.5))}
    race = benchmark.Race({name: iter([w(None) for _ in range(10)]) for name, w in watched.items()}, watched)
    race.run()
    assert race.first_below("slow", 0.5)[0] == 6 and race.first_below("fast", 0.5)[0] == 0
    assert race.first_below("slow", 0.0) == (None, None)


def test_lessons_are_measured_against_the_import_of_torch(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(lessons, "import_seconds", lambda: 0.5)
    monkeypatch.setattr(
        lessons, "lesson_cost", {Path("short.ipynb"): (2.0, 3.0, 0.5), Path("long.ipynb"): (3.5, 6.0, 1.25)}.get
    )
    assert lessons.main(["short.ipynb", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"import_torch_seconds": 0.5, "short": 4.0}
    assert lessons.main(["short.ipynb", "long.ipynb"]) == 1
    assert "| long | 3.5 | 7.0 | 6.0 | 1.25 |" in capsys.readouterr().out


def test_a_lesson_is_timed_with_its_kernel(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import time; time.sleep(1)")])
    nbformat.write(notebook, tmp_path / "lesson.ipynb")
    seconds, processors, memory = lessons.lesson_cost(tmp_path / "lesson.ipynb")
    assert seconds > 1 and processors > 0.1 and 0.03 < memory < 1  # a kernel that has imported nothing
    assert [path.stem[:2] for path in lessons.LESSONS][:2] == ["00", "01"]


@pytest.mark.parametrize("way", ["whole", "tiles"])
def test_growth_is_seen_after_every_tenth_transfer(way, monkeypatch):
    monkeypatch.setattr(growth.cost, "fitting_way", None)  # `run` sets it; this puts it back
    monkeypatch.setattr(growth, "WARM", 3)
    rows = growth.run(way, 6, size=96, steps=2)
    assert [row["count"] for row in rows] == [3, 6]
    assert all(row["mib"] > 50 for row in rows) and rows[0]["tensors"] == rows[1]["tensors"]


def test_growth_of_a_film_is_seen_after_every_fiftieth_frame(monkeypatch):
    monkeypatch.setattr(growth, "WARM_FILM", 7)
    rows = growth.run_film(14, size=96, steps=2)
    assert [row["count"] for row in rows] == [7, 14]
    assert rows[0]["tensors"] == rows[1]["tensors"]
