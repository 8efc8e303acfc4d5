"""Neural style transfer, from the pixels up. The course in notebooks/ explains every function here."""

from . import gallery
from .backbones import Backbone, BackboneError, load_backbone
from .images import ImageError, load_image, save_image
from .loop import OptimizationWarning, Step, optimize
from .losses import content_loss, gram_matrix, style_loss, total_variation
from .objective import Objective
from .transfer import Result, reconstruct, stylize, synthesize_texture

__all__ = [
    "Backbone",
    "BackboneError",
    "ImageError",
    "Objective",
    "OptimizationWarning",
    "Result",
    "Step",
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
