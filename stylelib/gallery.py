"""The course's pictures by name: shipped with the course, from scikit-image, or famous paintings on request.

Nothing is downloaded until a painting is asked for by name; then once, checked, into the user's cache.
"""

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from .downloads import DownloadError, download
from .images import ImageError, load_image

_PACKAGE = Path(__file__).parent
# In a checkout the pictures lie beside the package; a plain install carries them inside it.
STYLES = next(
    folder for folder in (_PACKAGE.parent / "images" / "style", _PACKAGE / "data" / "style") if folder.is_dir()
)
PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "camera": "camera.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "hubble_deep_field": "hubble_deep_field.jpg",
    "moon": "moon.png",
    "page": "page.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "stereo_motorcycle": "motorcycle_left.png",
}

# Addresses are pinned to a commit, so a file can never change under its checksum.
_JOHNSON = (
    "https://raw.githubusercontent.com/jcjohnson/neural-style/07c4b8299f8fbdafec0c514fc820ff1d7ff62e46/examples/inputs/"
)
_GORDIC = (
    "https://raw.githubusercontent.com/gordicaleksa/pytorch-neural-style-transfer/"
    "a244dc61797f920a62146d98de92384352a4d3a2/data/style-images/"
)
PAINTINGS = {
    "cafe_terrace": (
        _GORDIC + "vg_la_cafe.jpg",
        "af361f26d92524b959967ca1dda27f4127e9a89a51fd23ae0e9cb88add859d62",
    ),
    "great_wave": (
        _GORDIC + "wave_crop.jpg",
        "474ac51f1b064bfb3eaee068dea0f51bce8c2a798ff507693d451c989bd4a589",
    ),
    "shipwreck": (
        _JOHNSON + "shipwreck.jpg",
        "4f7cf34e3cd4a5daaf3f421f059ca9a01aaa2a3afd7243d6670c9c8bc001a213",
    ),
    "starry_night": (
        _JOHNSON + "starry_night_google.jpg",
        "c31741a09141c2e2d07fc7aa6bdf135c369b804f9433e43fa3ceac19386d1ee6",
    ),
    "the_scream": (
        _JOHNSON + "the_scream.jpg",
        "f3075cddeb974a9ee1d6418f7f33fd05185a7ac7dcb4288bd2805d499a9dcaee",
    ),
    "wheat_field": (
        _GORDIC + "vg_wheat_field.jpg",
        "da6959c2bc8e874f09df0cdce63dd86a1f11b61bf560ff498e1dfe483cdf8a81",
    ),
}


def styles() -> list[str]:
    """Names of the style pictures that ship with the course."""
    return sorted(path.stem for path in STYLES.glob("*.jpg"))


def photographs() -> list[str]:
    """Names of the photographs that scikit-image brings along."""
    return sorted(PHOTOGRAPHS)


def paintings() -> list[str]:
    """Names of the famous paintings; each is downloaded when first asked for."""
    return sorted(PAINTINGS)


def names() -> list[str]:
    """Every name that `load` knows: styles and photographs, which are here, then paintings."""
    return styles() + photographs() + paintings()


def load(name: str, size: int | None = None) -> Tensor:
    """A picture of the course by name.

    Args:
        name: one of `names()`.
        size: long side in pixels; None keeps the picture's own.

    Returns:
        image (1, 3, H, W) in [0, 1].

    Raises:
        ImageError: an unknown name, or a painting that is not here yet and cannot be downloaded.
    """
    return load_image(path(name), size)


def path(name: str) -> Path:
    """The file behind a name; downloads a painting that is not here yet. Raises `ImageError` as `load` does."""
    if name in styles():
        return STYLES / f"{name}.jpg"
    if name in PHOTOGRAPHS:
        scikit_image = Path(find_spec("skimage").origin).parent  # found, not imported: only its files are needed
        return scikit_image / "data" / PHOTOGRAPHS[name]
    if name in PAINTINGS:
        return _fetch(name)
    raise ImageError(f"The gallery has no picture {name!r}. It has: {', '.join(names())}.")


def find(name: str) -> Path:
    """The file that a user means: one of that name, or else the picture of the gallery. A folder hides none of them."""
    file = Path(name)
    return path(name) if name in names() and not file.is_file() else file


def _fetch(name: str) -> Path:
    import pooch  # half a second that only a painting needs

    url, checksum = PAINTINGS[name]
    file = Path(pooch.os_cache("stylelib")) / f"{name}.jpg"
    if _checksum(file) != checksum:
        try:
            download(url, file, checksum)
        except DownloadError as error:
            raise ImageError(
                f"The painting {name!r} could not be downloaded: {error}. "
                f"These need no download: {', '.join(styles() + photographs())}."
            ) from error
    return file


def _checksum(file: Path) -> str | None:
    try:
        return sha256(file.read_bytes()).hexdigest()
    except OSError:  # it is not here, or closed to this user
        return None
