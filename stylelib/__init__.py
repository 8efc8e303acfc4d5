"""Neural style transfer, from the pixels up. The course in notebooks/ explains every function here."""

import os

# torch's threads wait for each other in a busy loop. On a machine that does something else too, a browser for example,
# they then keep each other from working: here that made runs 3 to 7 times slower. Passive, they sleep. The OpenMP
# library reads this when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from . import gallery
from .backbones import Backbone, BackboneError, load_backbone
from .images import ImageError, load_image, save_image
from .loop import OptimizationWarning, Step, optimize
from .losses import content_loss, gram_matrix, style_loss, total_variation
from .objective import Objective, Style
from .transfer import Result, reconstruct, stylize, synthesize_texture

__all__ = [
    "Backbone",
    "BackboneError",
    "ImageError",
    "Objective",
    "OptimizationWarning",
    "Result",
    "Step",
    "Style",
    "content_loss",
    "gallery",
    "gram_matrix",
    "load_backbone",
    "load_image",
    "optimize",
    "reconstruct",
    "save_image",
    "style_loss",
    "stylize",
    "synthesize_texture",
    "total_variation",
]
