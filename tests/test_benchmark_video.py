"""The film benchmark runs, on tiny clips, ends with the line that others read, and sees what misses a bar."""

import importlib.util
import json
from pathlib import Path

FILE = Path(__file__).parent.parent / "benchmarks" / "video.py"
spec = importlib.util.spec_from_file_location("benchmark_video", FILE)
benchmark = importlib.util.module_from_spec(spec)
spec.loader.exec_module(benchmark)


def test_a_dry_run_ends_with_the_ratios(capsys):
    options = "--json --clips passing still --styles flow_strokes --frames 2 --size 64 --steps 4".split()
    benchmark.main(options)
    table = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(table["clips"]) == {"passing flow_strokes", "still flow_strokes"}
    for figures in table["clips"].values():
        assert {"warp1", "squared1", "style", "content", "sharpness", "seconds", "missed"} <= set(figures)
    assert {"drift", "color"} <= set(table["clips"]["still flow_strokes"])


def test_a_missed_bar_is_named():
    good = {"warp1": 0.1, "warp10": 0.3, "style": 1.0, "sharpness": 1.0}
    assert benchmark.missed("zoom", good) == []
    assert benchmark.missed("pan", good) == ["warp10"]
    assert benchmark.missed("still", good | {"sharpness": 0.5, "drift": 9.0}) == ["warp10", "sharpness", "drift"]
