"""Downloads that give the right file or one reason: checked before they take the file's place, never kept in part."""

import errno
from pathlib import Path

from .files import replacing

PATIENCE = 30  # seconds in which a server may be silent
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class DownloadError(OSError):
    """What came in the way of a download, as a clause that also says what to do."""


def download(url: str, file: Path, sha256: str, progress: bool = False) -> None:
    """Downloads to `file`, which appears whole and checked or not at all.

    A proxy is taken from the environment (`https_proxy`). Two processes may download the same file at once.

    Args:
        url: what to download.
        file: where to. Its folder is made.
        sha256: how the checksum begins, in hexadecimal digits.
        progress: True shows it on standard error.

    Raises:
        DownloadError: no connection, another file than expected, a disk that is full or may not be written to, …
    """
    import pooch  # half a second that only a download needs
    import urllib3

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as beside:
            _bring(url, beside, progress)
            if not pooch.file_hash(str(beside)).startswith(sha256):
                raise DownloadError(
                    "what came has another checksum: it was cut off or is not that file, but perhaps a page to log in "
                    "to this network; log in or try again"
                )
    except DownloadError:
        raise
    except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:  # requests passes on some of the latter two
        raise DownloadError(_reason(error, file.parent)) from error


def _bring(url: str, file: Path, progress: bool) -> None:
    """`requests` notices what `urllib` and thereby `torch.hub` does not: a file cut off, a server gone silent."""
    import pooch

    pooch.HTTPDownloader(progressbar=progress, chunk_size=2**16, timeout=PATIENCE)(url, str(file), None)


def _reason(error: Exception, folder: Path) -> str:
    from requests import exceptions

    number = getattr(error, "errno", None)
    if number in FULL:
        return f"the disk is full; make room in {folder} and try again"
    if number in FORBIDDEN:
        return f"{folder} may not be written to; ask somebody who may to download it there"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 407 or isinstance(error, exceptions.ProxyError | exceptions.InvalidProxyURL):
        return "the proxy that the environment names lets nothing through; check https_proxy"
    if isinstance(error, exceptions.HTTPError):
        return f"the server answers {status} {error.response.reason}; try again later"
    if isinstance(error, exceptions.SSLError):
        return "the server's certificate is not trusted here; check this machine's clock and proxy"
    if isinstance(error, exceptions.TooManyRedirects | ValueError):
        return f"server or proxy answers nonsense ({type(error).__name__}); check https_proxy or try again later"
    if isinstance(error, exceptions.RequestException):
        return "no connection, or it broke off; connect and try again"
    return " ".join(str(error).split())  # in one line
