"""Neural style transfer, from the pixels up. The course in notebooks/ explains every function here."""

import os

# torch's threads wait for each other in a busy loop. On a machine that does something else too, a browser for example,
# they then keep each other from working: here that made runs 3 to 7 times slower. Passive, they sleep. The OpenMP
# library reads this when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from importlib import import_module
from importlib.util import find_spec

# Module → its names that are also the package's. They are imported when they are first asked for: torch comes with
# most of them and takes seconds, for which `stylelib --help` should not wait.
_HOMES = {
    "backbones": ["Backbone", "BackboneError", "load_backbone"],
    "images": ["ImageError", "load_image", "save_image"],
    "loop": ["OptimizationWarning", "Step", "optimize"],
    "losses": ["content_loss", "gram_matrix", "style_loss", "total_variation"],
    "objective": ["Objective", "Style"],
    "transfer": ["Result", "reconstruct", "stylize", "synthesize_texture"],
}
__all__ = ["gallery", *(name for names in _HOMES.values() for name in names)]


def __getattr__(name: str):
    """Python calls this for a name that the package does not have yet."""
    for home, names in _HOMES.items():
        if name in names:
            globals()[name] = getattr(import_module(f".{home}", __name__), name)
            return globals()[name]
    if find_spec(f"{__name__}.{name}"):  # one of its modules
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
