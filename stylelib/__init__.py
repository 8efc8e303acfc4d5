"""Neural style transfer, from the pixels up. The course in notebooks/ explains every function here."""

from importlib import import_module
from importlib.util import find_spec

from . import machine

machine.prepare()  # before torch is imported

# Module → its names that are also the package's. They are imported when they are first asked for: torch comes with
# most of them and takes seconds, for which `stylelib --help` should not wait.
_HOMES = {
    "backbones": ["Backbone", "BackboneError", "load_backbone"],
    "images": ["ImageError", "load_image", "save_image"],
    "loop": ["OptimizationWarning", "Step", "optimize"],
    "losses": ["content_loss", "gram_matrix", "style_loss", "total_variation"],
    "objective": ["Objective", "Style"],
    "photo": ["transfer_photo"],
    "transfer": ["Result", "reconstruct", "stylize", "synthesize_texture"],
    "video": ["stylize_video"],
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
