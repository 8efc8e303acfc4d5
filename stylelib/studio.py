"""The studio: choose two pictures, move sliders, watch a picture being painted, compare, keep it.

from stylelib.studio import Studio

Studio()
"""

import hashlib
import html
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from os import PathLike
from tempfile import TemporaryDirectory

import ipywidgets as widgets
import traitlets
from torch import Tensor

from . import cost, gallery
from .backbones import RECIPES, has_weights
from .camera import Camera
from .decoding import ImageError
from .images import load_image
from .look import style_sheet
from .photo import METHODS
from .studio_folder import ENDINGS, Entry, Folder, short
from .studio_look import (
    THUMBNAIL,
    VIEWS,
    address,
    compare,
    enlarged_start,
    jpeg,
    loss_curve,
    progress,
    thumbnail,
)
from .studio_preview import SHOWN
from .studio_recipe import PAINT, Recipe, read
from .studio_session import Look, Session, said

SIZES = (192, 256, 384, 512, 768, 1024, 1536, 2048)
COLORS = {"the style's": "style", "the photograph's": "content", "the style's, matched to the photograph": "matched"}
METHOD = {"Strokes": PAINT, "Color and tone": "photograph"}
KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".tif": "image/tiff"}
REMEMBERED = 24  # pictures of the history that are offered
FOLDER = "studio_pictures"
_downloaded: set[str] = set()  # paintings that were read once since the kernel started


class Shelf(widgets.VBox):
    """Pictures to choose one from, and a place to bring another.

    Args:
        title: what they are for.
        names: of the gallery's pictures.
        folder: where pictures that are brought are kept.
        camera: whether one can be taken, too.
    """

    value = traitlets.Unicode(help="name of the chosen picture")
    error = traitlets.Unicode(help="why a picture that was brought is none")

    def __init__(self, title: str, names: Sequence[str], folder: Folder, camera: bool = False):
        self.folder = folder
        self.buttons: dict[str, widgets.Button] = {}
        self.thumbs = widgets.HTML()
        self.row = widgets.Box(_dom_classes=["stylelib-shelf"])
        self.upload = widgets.FileUpload(
            accept="image/*",
            description=f"Your own {title.lower()}",
            tooltip=f"Bring your own {title.lower()}",
        )
        self.camera = [Camera(lambda file: self.bring("photograph.jpg", file))] if camera else []
        super().__init__([_title(title), self.row, self.thumbs, _row(self.upload, *self.camera)])
        for name in names:
            self.put(name)
        self.upload.observe(self._brought, names="value")
        self.observe(self._mark, names="value")

    def put(self, name: str, first: bool = False) -> None:
        """Adds a picture, if it is not there yet."""
        if name in self.buttons:
            return
        button = widgets.Button(description=_label(name), tooltip=_label(name))
        button.add_class(_class_of(name))
        button.on_click(lambda _: setattr(self, "value", name))
        self.buttons = {name: button, **self.buttons} if first else {**self.buttons, name: button}
        self.row.children = tuple(self.buttons.values())
        self.thumbs.value = _rules(self.buttons)

    def refresh(self) -> None:
        """Shows pictures that have come since, a painting that was downloaded."""
        self.thumbs.value = _rules(self.buttons)

    def bring(self, name: str, data: bytes) -> None:
        """Puts a picture file first and chooses it; if it is none, `error` says why."""
        try:
            kept = str(self.folder.keep(name, data))
        except ImageError as error:
            self.error = ""
            self.error = said(error)
            return
        self.put(kept, first=True)
        self.value = kept

    def _brought(self, change) -> None:
        if not change["new"]:
            return
        brought = change["new"][0]
        self.upload.value = ()  # the bytes are not needed twice, and the same file may come again
        self.bring(brought["name"], bytes(brought["content"]))

    def _mark(self, _) -> None:
        for name, button in self.buttons.items():
            chosen = name == self.value
            (button.add_class if chosen else button.remove_class)("stylelib-chosen")
            button.description = f"✓ {_label(name)}" if chosen else _label(name)


class Studio(widgets.VBox):
    """The studio. Displayed, it shows a preview at once, and a run goes on in a thread while the kernel is free.

    Args:
        content, style: names of the gallery, or picture files.
        folder: where finished pictures go, with their settings; None: `studio_pictures` beside the notebook, or where
            the studio is a page for visitors (Voilà) a folder of this visitor alone.
        **settings: of the `Recipe`.

    Attributes:
        recipe: what Run will paint.
        entry: the finished picture that is shown; None while a preview is.
        session: the engine.
    """

    def __init__(
        self,
        content: str | PathLike = "astronaut",
        style: str | PathLike = "flow_strokes",
        folder: str | PathLike | None = None,
        **settings,
    ):
        self._quiet = False
        self._before: Tensor | None = None
        self._after: Tensor | None = None
        self.entry: Entry | None = None
        self.look: Look | None = None
        self._private = TemporaryDirectory(prefix="stylelib-studio-") if folder is None and _is_page() else None
        self.session = Session(folder or (self._private.name if self._private else FOLDER), self._show)
        self.entries = self.session.folder.entries()
        self._make_controls()
        self._make_stage()
        columns = widgets.Box([widgets.VBox(self._left), widgets.VBox(self._right)], _dom_classes=["stylelib-columns"])
        super().__init__([widgets.HTML(style_sheet()), columns], _dom_classes=["stylelib"])
        self.recipe = replace(Recipe(str(content), str(style)), **settings)
        self._listen()
        self._changed()
        self._show_history()

    def __repr__(self) -> str:
        return "The studio: run this cell to see it."

    # --- what there is ---

    def _make_controls(self) -> None:
        folder = self.session.folder
        brought = [str(file) for file in folder.brought()]
        photographs, styles = gallery.photographs(), gallery.styles()
        self.content = Shelf("Content", [*brought, *photographs], folder, camera=True)
        self.style = Shelf("Style", [*brought, *styles, *gallery.paintings(), *photographs], folder)
        self.method = _choices(METHOD, "What to take from the style")
        self.style_weight = widgets.FloatLogSlider(
            value=32, base=2, min=-1, max=11, step=0.5, description="Style weight", readout_format=".3g"
        )
        self.stroke = widgets.FloatSlider(
            value=1, min=0.5, max=2, step=0.1, description="Stroke size", readout_format=".1f"
        )
        self.color = widgets.Dropdown(options=COLORS, description="Colors")
        self.size = widgets.SelectionSlider(options=SIZES, value=384, description="Size (pixels)")
        self.how = widgets.Dropdown(options=list(METHODS), description="Method")
        self.strength = widgets.FloatSlider(value=1, min=0, max=1, step=0.05, description="Strength")
        self.more = widgets.ToggleButton(
            description="More settings", tooltip="Second style, evaluations, start, network"
        )
        names = [("none", ""), *((_label(name), name) for name in self.style.buttons)]
        self.also = widgets.Dropdown(options=names, description="Second style")
        self.blend = widgets.FloatSlider(value=0.5, min=0, max=1, step=0.05, description="Its share")
        self.steps = widgets.IntSlider(value=240, min=40, max=600, step=20, description="Evaluations")
        self.start = widgets.Dropdown(options={"the content": "content", "noise": "noise"}, description="Start from")
        self.seed = widgets.BoundedIntText(value=0, min=0, max=2**31 - 1, description="Seed of noise")
        self.backbone = widgets.Dropdown(options=[(_offer(name), name) for name in RECIPES], description="Network")
        self.painting = [self.style_weight, self.stroke, self.color]
        self.grading = [self.how, self.strength]
        self.further = [self.also, self.blend, self.steps, self.start, self.seed, self.backbone]
        self._left = [self.content, self.style, self.method, *self.grading, *self.painting, self.size, self.more]
        self._left += self.further

    def _make_stage(self) -> None:
        self.run = _button("Run", "Paint with these settings", "stylelib-main")
        self.go_on = _button("Go on", "Paint on from this picture with these settings")
        self.stop = _button("Stop", "Stop, and keep the best picture so far")
        self.estimate, self.status, self.error = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.view = _choices(VIEWS, "How to look at it")
        self.picture = widgets.Image(format="jpeg", _dom_classes=["stylelib-picture"])
        self.split = widgets.FloatSlider(value=0.5, min=0, max=1, step=0.01, description="Line", readout=False)
        zooms = [("whole", 1), *((f"{times} times", times) for times in (2, 4, 8, 16, 32))]
        self.zoom = widgets.Dropdown(options=zooms, description="Zoom")
        self.across = widgets.FloatSlider(value=0.5, min=0, max=1, step=0.01, description="Across", readout=False)
        self.down = widgets.FloatSlider(value=0.5, min=0, max=1, step=0.01, description="Down", readout=False)
        self.curve = widgets.HTML()
        self.format = widgets.Dropdown(options=ENDINGS, description="Format")
        self.save = _button("Save", "Write this picture in this format, with its settings")
        self.saved = widgets.HTML()
        self.tell = widgets.ToggleButton(description="Show the code", tooltip="Python that makes this picture")
        self.code = widgets.HTML()
        self.past = widgets.Box(_dom_classes=["stylelib-shelf"])
        self.past_title, self.past_thumbs = _title("Your pictures"), widgets.HTML()
        self._right = [
            _row(self.run, self.stop, self.go_on),
            self.estimate,
            self.status,
            self.error,
            self.picture,
            _row(self.view, self.zoom),
            self.split,
            self.across,
            self.down,
            self.curve,
            _row(self.save, self.format),
            self.saved,
            _row(self.tell),
            self.code,
            self.past_title,
            self.past,
            self.past_thumbs,
        ]

    def _listen(self) -> None:
        settings = [self.content, self.style, self.method, self.size, *self.painting, *self.grading, *self.further]
        for widget in settings:
            widget.observe(lambda _: self._changed(), names="value")
        for shelf in (self.content, self.style):
            shelf.observe(lambda change: self._say_error(change["new"]), names="error")
        for widget in (self.view, self.split, self.zoom, self.across, self.down):
            widget.observe(lambda _: self._draw(), names="value")
        for widget in (self.more, self.tell):
            widget.observe(lambda _: self._arrange(), names="value")
        self.run.on_click(lambda _: self._run(self.recipe))
        self.go_on.on_click(lambda _: self.entry and self._run(replace(self.recipe, start=str(self.entry.file))))
        self.stop.on_click(lambda _: self.session.stop())
        self.save.on_click(lambda _: self._save())

    # --- settings ---

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            content=self.content.value,
            style=self.style.value,
            also=self.also.value,
            blend=self.blend.value,
            method=PAINT if self.method.value == PAINT else self.how.value,
            strength=self.strength.value,
            size=self.size.value,
            steps=self.steps.value,
            seed=self.seed.value,
            color=self.color.value,
            style_weight=self.style_weight.value,
            stroke=self.stroke.value,
            start=self.start.value,
            backbone=self.backbone.value,
        )

    @recipe.setter
    def recipe(self, recipe: Recipe) -> None:
        self._quiet = True
        try:
            for shelf, name in ((self.content, recipe.content), (self.style, recipe.style)):
                shelf.put(name, first=True)
                shelf.value = name
            if recipe.also and recipe.also not in dict(self.also.options).values():
                self.also.options = [*self.also.options, (_label(recipe.also), recipe.also)]
            self.method.value = PAINT if recipe.method == PAINT else "photograph"
            if recipe.method != PAINT:
                self.how.value = recipe.method
            if recipe.size not in self.size.options:
                self.size.options = sorted({*self.size.options, recipe.size})
            if recipe.start in ("content", "noise"):
                self.start.value = recipe.start
            self.steps.min, self.steps.max = min(40, recipe.steps), max(600, recipe.steps)
            for name in "also blend strength size steps seed color style_weight stroke backbone".split():
                getattr(self, name).value = getattr(recipe, name)
        finally:
            self._quiet = False

    @property
    def running(self) -> bool:
        """Whether a picture is being painted."""
        return self.look is not None and self.look.state == "running" and not self.session.job.over

    def _changed(self) -> None:
        """A setting is another one: what it will look like is shown, unless a run is going on."""
        if self._quiet:
            return
        self._offer_second()
        with self.session.lock:
            self.error.value = ""
            if not self.running:
                self.entry = None
                self.look = Look("preview", self.recipe)
                self.estimate.value = _note("…")
                self.status.value = _badge("Preview", "is on its way")
                self.curve.value = self.saved.value = ""
                self.session.preview(self.recipe)
            self._arrange()

    def _offer_second(self) -> None:
        """Lets each picture that was brought be the second style, too."""
        known = {name for _, name in self.also.options}
        if new := [name for name in self.style.buttons if name not in known]:
            self._quiet, chosen = True, self.also.value
            self.also.options = [*self.also.options, *((_label(name), name) for name in new)]
            self.also.value, self._quiet = chosen, False

    def _arrange(self) -> None:
        """Shows the controls that do something now."""
        painting = self.method.value == PAINT
        _only(self.painting, painting)
        _only(self.grading, not painting)
        _only([self.more], painting)
        _only(self.further, painting and self.more.value)
        _only([self.blend], painting and self.more.value and bool(self.also.value))
        _only([self.seed], painting and self.more.value and self.start.value == "noise")
        _only([self.split], self.view.value == "split")
        _only([self.across, self.down], self.zoom.value > 1)
        running = self.running
        self.run.disabled, self.stop.disabled = running, not running
        self.go_on.disabled = running or self.entry is None or not painting
        self.save.disabled = self.format.disabled = self.entry is None
        recipe = self.entry.recipe if self.entry else self.recipe
        shown = f'<pre class="stylelib-code" tabindex="0">{html.escape(recipe.code())}</pre>' if self.tell.value else ""
        self.code.value = shown

    # --- runs ---

    def _run(self, recipe: Recipe) -> None:
        with self.session.lock:
            self.error.value = self.curve.value = self.saved.value = self.estimate.value = ""
            self.entry, self.look = None, Look("running", recipe)
            self.status.value = progress(0, recipe.steps, "begins")
            self.session.run(recipe)
            self._arrange()

    def _show(self, look: Look) -> None:
        """Puts on the screen what the session has to show. Called in its thread, which holds the lock."""
        {
            "preview": self._show_preview,
            "measured": self._show_costs,
            "running": self._show_step,
            "finished": self._show_finished,
            "stopped": self._show_finished if look.entry else self._show_failure,
            "failed": self._show_failure,
        }[look.state](look)

    def _show_preview(self, look: Look) -> None:
        self._put(look, look.image)
        painted = look.recipe.method == PAINT
        how = "painted in a second; Run does it well" if painted else "Run makes it in full size"
        self.status.value = _badge("Preview", f"{_words(look.recipe)}, {how}")

    def _show_costs(self, look: Look) -> None:
        _downloaded.update({look.recipe.content, look.recipe.style} & set(gallery.paintings()))
        for shelf in (self.content, self.style):
            shelf.refresh()
        costs = self.session.estimate(look.recipe)
        if look.recipe.method != PAINT:
            said = "About a second."
        elif costs is None:
            said = f"{look.recipe.backbone} is downloaded first: {RECIPES[look.recipe.backbone].megabytes} MB."
        else:
            said = f"Will take about {_duration(costs[0])} and {cost.gigabytes(costs[1])} of memory."
        self.estimate.value = _note(said)

    def _show_step(self, look: Look) -> None:
        self.look = look
        done, (height, width) = len(look.history), look.image.shape[-2:]
        self._put(look, enlarged_start(look.image.cpu(), SHOWN))
        steps = look.recipe.steps
        self.status.value = progress(done, steps, f"{done} of {steps} evaluations, now {width} × {height} pixels")
        self.curve.value = loss_curve(look.history, steps)

    def _show_finished(self, look: Look) -> None:
        self.estimate.value = _note(f"Took {_duration(look.seconds)}.")
        self.entries.append(look.entry)
        self._show_history()
        self._show_entry(look.entry, look.image)
        self.curve.value = loss_curve(look.history, look.recipe.steps)

    def _show_failure(self, look: Look) -> None:
        self.look = look
        self.status.value = "" if look.says else _badge("Stopped", "before anything was painted")
        self._say_error(look.says)
        self._arrange()

    def _show_entry(self, entry: Entry, image: Tensor) -> None:
        self.entry = entry
        self._put(Look("finished", entry.recipe), image)
        height, width = image.shape[-2:]
        word = f"Stopped after {entry.recipe.stopped} evaluations" if entry.recipe.stopped else "Finished"
        kept = html.escape(entry.file.as_posix())
        self.status.value = _badge(word, f"{_words(entry.recipe)}, {width} × {height} pixels, kept as {kept}")
        self._arrange()

    def _put(self, look: Look, image: Tensor) -> None:
        self.look = look
        self._before, self._after = read(look.recipe.content, SHOWN), image
        self._draw()

    def _draw(self) -> None:
        with self.session.lock:
            if self._after is None:
                return
            size = max(self._after.shape[-2:])
            if self.view.value != "picture" and size > max(self._before.shape[-2:]) and self.entry:
                self._before = read(self.entry.recipe.content, size)  # a close look wants all of the content
            looked = compare(
                self._before,
                self._after,
                self.view.value,
                split=self.split.value,
                zoom=self.zoom.value,
                across=self.across.value,
                down=self.down.value,
            )
            self.picture.value = jpeg(looked, 90 if self.zoom.value == 1 else 97)
            _only([self.split], self.view.value == "split")
            _only([self.across, self.down], self.zoom.value > 1)

    def _say_error(self, text: str) -> None:
        self.error.value = f'<div class="stylelib-error" role="alert">{html.escape(text)}</div>' if text else ""

    # --- pictures that are finished ---

    def _show_history(self) -> None:
        entries = self.entries[: -REMEMBERED - 1 : -1]
        buttons = []
        for entry in entries:
            button = widgets.Button(description=entry.title, tooltip=f"Show {entry.title} and its settings")
            button.add_class(_class_of(str(entry.file)))
            button.on_click(lambda _, entry=entry: self._open(entry))
            buttons.append(button)
        old, self.past.children = self.past.children, buttons
        for button in old:
            button.close()
        self.past_thumbs.value = _rules([str(entry.file) for entry in entries])
        _only([self.past_title, self.past], bool(entries))

    def _open(self, entry: Entry) -> None:
        """Shows a finished picture again, and sets every control as it was."""
        if self.running:
            return
        try:
            image = load_image(entry.file)
            read(entry.recipe.content, SHOWN)
        except ImageError as error:
            self._say_error(said(error))
            return
        with self.session.lock:
            self.session.stop()
            self.recipe = entry.recipe
            self.curve.value = self.saved.value = self.error.value = ""
            self._show_entry(entry, image)

    def _save(self) -> None:
        try:
            file = self.session.folder.export(self.entry, self.format.value)
            data = file.read_bytes()
        except (ImageError, OSError) as error:
            self._say_error(said(error))
            return
        link = address(KINDS[self.format.value], data)
        self.saved.value = _note(
            f'Kept as {html.escape(file.as_posix())}, with its settings. <a download="{html.escape(file.name)}" '
            f'href="{link}">Download it ({len(data) / 1000:.0f} kB)</a>'
        )


def _is_page() -> bool:
    """Whether this runs for the visitor of a page (Voilà), who shares the machine with others."""
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila")


def _label(name: str) -> str:
    """A picture's name as people write it."""
    words = (name if name in gallery.names() else short(name)).replace("_", " ")
    return words if _is_here(name) else f"⤓ {words}"


def _words(recipe: Recipe) -> str:
    """What a picture is, for those who cannot see it."""
    return html.escape(f"{_label(recipe.content)} in the style of {_label(recipe.style)}")


def _offer(name: str) -> str:
    """A backbone's name, and what it takes to have it."""
    ready = has_weights(name)
    return name if ready else f"{name} (a download of {RECIPES[name].megabytes} MB)"


def _class_of(name: str) -> str:
    """The class of a picture's button in the style sheet."""
    return f"stylelib-p{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def _rules(names: Sequence[str]) -> str:
    """The style sheet that shows each picture on its button; those that are not on this machine have none."""
    rules = [
        f".stylelib .{_class_of(name)} {{ background-image: url({_thumb(name)}); }}" for name in names if _is_here(name)
    ]
    return f"<style>{' '.join(rules)}</style>"


@lru_cache(maxsize=256)
def _thumb(name: str) -> str:
    try:
        return thumbnail(load_image(gallery.find(name), 2 * THUMBNAIL))
    except ImageError:  # a file that is gone since
        return "none"


def _is_here(name: str) -> bool:
    return name not in gallery.paintings() or name in _downloaded


def _duration(seconds: float) -> str:
    return f"{max(1, seconds):.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _title(text: str) -> widgets.HTML:
    return widgets.HTML(f'<div class="stylelib-title" role="heading" aria-level="3">{text}</div>')


def _note(text: str) -> str:
    return f'<div class="stylelib-note">{text}</div>'


def _badge(word: str, text: str) -> str:
    return f'<div role="status"><span class="stylelib-badge">{word}</span>{text}</div>'


def _button(text: str, tooltip: str, *classes: str) -> widgets.Button:
    return widgets.Button(description=text, tooltip=tooltip, _dom_classes=list(classes))


def _choices(options: dict[str, str], what: str) -> widgets.ToggleButtons:
    return widgets.ToggleButtons(options=options, tooltips=[f"{what}: {name}" for name in options])


def _row(*children: widgets.Widget) -> widgets.Box:
    return widgets.Box(children, _dom_classes=["stylelib-row"])


def _only(shown: Sequence[widgets.Widget], when: bool) -> None:
    """Shows these widgets, or takes them from the screen and from the order of the Tab key."""
    for widget in shown:
        display = None if when else "none"
        if widget.layout.display != display:
            widget.layout.display = display
