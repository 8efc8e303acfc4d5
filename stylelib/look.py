"""One look for the studio and for the lessons' widgets, in JupyterLab's light and dark themes."""

from functools import lru_cache
from pathlib import Path

import ipywidgets as widgets

CSS = Path(__file__).parent / "data" / "look.css"


@lru_cache(maxsize=1)
def style_sheet() -> str:
    """The look, to be put into a page."""
    return f"<style>{CSS.read_text(encoding='utf-8')}</style>"


class Panel(widgets.VBox):
    """Widgets one below the other, in that look, as wide as what they show.

    Args:
        width: on the screen, in pixels.
    """

    def __init__(self, *children: widgets.Widget, width: int):
        sheet = widgets.HTML(style_sheet())
        super().__init__([sheet, *children], _dom_classes=["stylelib"], layout={"max_width": f"{width + 12}px"})
