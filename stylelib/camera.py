"""A button that takes a photograph with the camera of the learner's own computer, wherever the kernel runs."""

from collections.abc import Callable
from pathlib import Path

import anywidget


class Camera(anywidget.AnyWidget):
    """Asks the browser for its camera, shows what it sees, and hands over the photograph that is taken.

    The browser asks its user first, and lends a camera only to pages that came over https or from this machine; where
    it does not, the widget says why. The camera is on from one button to the next, and the picture goes to the kernel
    alone.

    Args:
        on_photograph: called with each one, a JPEG file's bytes.

    Source: *Media Capture and Streams*, W3C, `MediaDevices.getUserMedia`.
    """

    _esm = Path(__file__).parent / "data" / "camera.js"

    def __init__(self, on_photograph: Callable[[bytes], object]):
        super().__init__()
        self.on_msg(lambda _, content, files: on_photograph(bytes(files[0])) if files else None)
