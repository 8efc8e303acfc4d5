"""The course's pictures are there without a network, and a painting is downloaded once and only if it is genuine."""

import hashlib
import io
import logging
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest
from PIL import Image

from stylelib import ImageError, gallery

HERE = gallery.styles() + gallery.photographs()
README = Path(__file__).parent.parent / "images" / "README.md"


@pytest.fixture
def offline(monkeypatch):
    """Any attempt to open a connection fails, as on a machine without a network; returns the list of attempts."""
    attempts = []

    def refuse(*arguments, **options):
        attempts.append(arguments)
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return attempts


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder in place of the user's cache."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(pooch, "os_cache", lambda project: folder)
    return folder


@pytest.fixture
def log():
    """What pooch reports; on its own it goes to standard error."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    pooch.get_logger().addHandler(handler)
    yield stream
    pooch.get_logger().removeHandler(handler)


class Server:
    """A web server on this machine that answers every request with `body` and counts them."""

    def __init__(self, body):
        self.body, self.status, self.requests = body, 200, 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.requests += 1
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(server.body)))
                self.end_headers()
                self.wfile.write(server.body)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/painting.jpg"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (40, 30), (200, 100, 50)).save(tmp_path / "painting.jpg")
    return (tmp_path / "painting.jpg").read_bytes()


@pytest.fixture
def server(picture, cache, monkeypatch):
    """Serves the gallery's only painting, `fake`."""
    server = Server(picture)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(gallery, "PAINTINGS", {"fake": (server.url, hashlib.sha256(picture).hexdigest())})
    yield server
    server.http.shutdown()
    server.http.server_close()


def error_of(name):
    with pytest.raises(ImageError) as caught:
        gallery.load(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what is here ---


@pytest.mark.parametrize("name", HERE)
def test_styles_and_photographs_load_without_a_network(name, offline):
    image = gallery.load(name, size=64)
    assert image.shape[:2] == (1, 3) and max(image.shape[-2:]) == 64
    assert 0 <= image.min() and image.max() <= 1 and image.std() > 0.02
    assert not offline


def test_the_size_is_the_pictures_own_unless_asked_for():
    with Image.open(gallery.path("coffee")) as file:
        assert gallery.load("coffee").shape == (1, 3, file.height, file.width)


def test_there_are_styles_photographs_and_paintings():
    assert len(gallery.styles()) >= 8 and len(gallery.photographs()) >= 10 and len(gallery.paintings()) >= 6


def test_names_are_all_names_once():
    assert gallery.names() == gallery.styles() + gallery.photographs() + gallery.paintings()
    assert len(set(gallery.names())) == len(gallery.names())


@pytest.mark.parametrize("name", ["mona_lisa", "", "../style/waves", "waves.jpg"])
def test_an_unknown_name_lists_the_known_ones(name):
    message = error_of(name)
    assert repr(name) in message and all(known in message for known in gallery.names())


@pytest.mark.parametrize("name", gallery.styles())
def test_every_style_picture_is_described_in_the_readme(name):
    rows = [line for line in README.read_text().splitlines() if f"{name}.jpg" in line]
    assert rows and "CC0" in rows[0], "images/README.md says what it shows and under which license"


# --- paintings ---


@pytest.mark.parametrize("name", gallery.paintings())
def test_a_painting_is_pinned_to_a_commit_and_a_checksum(name):
    url, sha256 = gallery.PAINTINGS[name]
    assert re.fullmatch(r"https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/[0-9a-f]{40}/[\w/-]+\.jpg", url)
    assert re.fullmatch("[0-9a-f]{64}", sha256)


@pytest.mark.parametrize("name", gallery.paintings())
def test_offline_a_painting_says_what_is_here_instead(name, cache, offline, log):
    message = error_of(name)
    assert repr(name) in message and all(known in message for known in HERE)
    assert offline, "it tried"
    assert not log.getvalue(), "nothing but the message"


def test_a_painting_is_downloaded_without_a_word(server, log):
    assert gallery.load("fake", size=20).shape == (1, 3, 15, 20)
    assert server.requests == 1
    assert not log.getvalue()


def test_a_painting_is_downloaded_only_once(server):
    gallery.load("fake")
    server.body = b"the server has something else now"
    gallery.load("fake")
    assert server.requests == 1


def test_a_downloaded_painting_needs_no_network(server, offline, cache, picture):
    cache.mkdir()
    (cache / "fake.jpg").write_bytes(picture)
    assert gallery.load("fake").shape == (1, 3, 30, 40)
    assert not offline


def test_another_checksum_is_an_error(server):
    server.body = b"a login page"
    assert "checksum" in error_of("fake")


def test_what_has_another_checksum_is_not_kept(server, cache, picture):
    server.body = picture + b" and more"
    error_of("fake")
    assert not list(cache.iterdir())
    server.body = picture
    assert gallery.load("fake").shape == (1, 3, 30, 40)


def test_a_damaged_file_in_the_cache_is_downloaded_again(server, cache, picture):
    cache.mkdir()
    (cache / "fake.jpg").write_bytes(picture[:100])
    assert gallery.load("fake").shape == (1, 3, 30, 40)
    assert (cache / "fake.jpg").read_bytes() == picture


def test_a_damaged_file_in_the_cache_is_never_shown(server, cache, picture, offline):
    cache.mkdir()
    (cache / "fake.jpg").write_bytes(picture + b"changed")
    assert "could not be downloaded" in error_of("fake")


def test_a_server_that_does_not_have_it_is_an_error(server, cache):
    server.status = 404
    assert "could not be downloaded" in error_of("fake")
    assert not list(cache.iterdir())
