"""Downloads against a server on this machine that fails in every way: the right file or one sentence, no litter."""

import hashlib
import io
import os
import pickle
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pooch
import pytest
import requests  # noqa: F401 (here, because as another user it may be out of reach)
import torch
from PIL import Image
from torchvision import models

from stylelib import backbones, doctor, downloads, gallery
from stylelib.backbones import RECIPES, BackboneError, load_backbone
from stylelib.images import ImageError

PATIENCE = 0.3  # seconds, in place of half a minute
NOBODY = 65534
unix = pytest.mark.skipif(sys.platform == "win32", reason="other rules there")


class Server:
    """Serves one file, well or badly: `fault` names a method of `Handler`, or is a status."""

    def __init__(self, body):
        self.body, self.fault, self.requests = body, "whole", []
        self.over = threading.Event()
        handler = type("Bound", (Handler,), {"server_of_tests": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.port = self.http.server_port
        self.address = f"http://127.0.0.1:{self.port}/"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.over.set()
        self.http.shutdown()
        self.http.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        mine = self.server_of_tests
        mine.requests.append(self.path)
        if isinstance(mine.fault, int):
            return self.send_error(mine.fault)
        getattr(self, mine.fault)(mine.body)

    def headed(self, **headers):
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def whole(self, body):
        self.headed(Content_Length=len(body))
        self.wfile.write(body)

    def in_pieces(self, body):
        """Slower than patience lasts, but never silent for so long."""
        self.headed(Content_Length=len(body))
        for start in range(0, len(body), len(body) // 5 + 1):
            self.wfile.write(body[start : start + len(body) // 5 + 1])
            time.sleep(PATIENCE / 3)

    def cut_off(self, body):
        self.headed(Content_Length=len(body))
        self.wfile.write(body[: len(body) // 2])

    def cut_off_without_a_length(self, body):
        self.headed()
        self.wfile.write(body[: len(body) // 2])

    def cut_off_in_a_chunk(self, body):
        self.headed(Transfer_Encoding="chunked")
        self.wfile.write(b"%x\r\n" % len(body) + body[: len(body) // 2])

    def reset(self, body):
        self.cut_off(body)
        self.wfile.flush()
        # Closed with a linger of 0, the connection is reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()

    def stalled(self, body):
        self.cut_off(body)
        self.server_of_tests.over.wait(20)

    def silent(self, body):
        self.server_of_tests.over.wait(20)

    def login_page(self, body):
        self.headed(Content_Length=15, Content_Type="text/html")
        self.wfile.write(b"<html>Log in</>")

    def flipped_bit(self, body):
        self.whole(body[:1000] + bytes([body[1000] ^ 1]) + body[1001:])

    def no_http(self, body):
        self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")

    def absurd_length(self, body):
        self.headed(Content_Length="many")
        self.wfile.write(body)

    def round_in_circles(self, body):
        self.send_response(302)
        self.send_header("Location", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@dataclass
class Wanted:
    """Something that is downloaded when first asked for."""

    server: Server
    file: Path
    error: type[Exception]
    get: object  # a function that answers something only the right file gives
    right: object

    def sentence(self):
        """What is said instead of the right file, with nothing left behind."""
        before = self.litter()
        message = self.error_alone()
        assert self.litter() == before
        return message

    def error_alone(self):
        with pytest.raises(self.error) as caught:
            self.get()
        message = str(caught.value)
        assert "\n" not in message and message.endswith(".") and len(message) < 900
        return message

    def litter(self):
        """Everything in the cache: a partial file is as bad as a wrong one."""
        return sorted(path.name for path in self.file.parent.glob("*")) if self.file.parent.is_dir() else []


@pytest.fixture(scope="module")
def network_file():
    buffer = io.BytesIO()
    torch.manual_seed(0)
    torch.save(models.squeezenet1_0(weights=None).state_dict(), buffer)
    return buffer.getvalue()


@pytest.fixture
def cache():
    """Not below pytest's own folders, which are closed to other users."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def weights(network_file, cache, monkeypatch):
    server = Server(network_file)
    name = f"squeezenet1_0-{hashlib.sha256(network_file).hexdigest()[:8]}.pth"
    monkeypatch.setenv("TORCH_HOME", str(cache / "torch"))
    monkeypatch.setitem(RECIPES, "squeezenet1_0", replace(RECIPES["squeezenet1_0"], file=name))
    monkeypatch.setattr(backbones, "_address", lambda _: server.address + name)
    expected = torch.load(io.BytesIO(network_file), weights_only=True)["features.0.weight"].sum().item()
    yield Wanted(
        server,
        cache / "torch" / "hub" / "checkpoints" / name,
        BackboneError,
        lambda: load_backbone("squeezenet1_0", mixed=False).network.conv1.weight.sum().item(),
        pytest.approx(expected),
    )
    server.close()


@pytest.fixture
def painting(cache, monkeypatch):
    buffer = io.BytesIO()
    Image.effect_noise((40, 30), 80).convert("RGB").save(buffer, "JPEG")
    server = Server(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    monkeypatch.setattr(pooch, "os_cache", lambda project: cache / "paintings")
    monkeypatch.setattr(gallery, "PAINTINGS", {"fake": (server.address + "painting.jpg", digest)})
    yield Wanted(
        server,
        cache / "paintings" / "fake.jpg",
        ImageError,
        lambda: gallery.path("fake").read_bytes(),
        buffer.getvalue(),
    )
    server.close()


@pytest.fixture(params=["weights", "painting"])
def wanted(request, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(downloads, "PATIENCE", PATIENCE)
    return request.getfixturevalue(request.param)


# --- what comes over the line ---


@pytest.mark.parametrize("manner", ["whole", "in_pieces"])
def test_a_file_that_comes_is_kept_and_asked_for_once(wanted, manner):
    wanted.server.fault = manner
    assert wanted.get() == wanted.right and wanted.get() == wanted.right
    assert len(wanted.server.requests) == 1 and wanted.litter() == [wanted.file.name]
    assert wanted.file.read_bytes() == wanted.server.body
    assert wanted.file.stat().st_mode & 0o444 == 0o444, "others may read it, as where a cache is shared"


@pytest.mark.parametrize(
    "fault, said",
    {
        "cut_off": "broke off; connect and try again",
        "cut_off_without_a_length": "another checksum",
        "cut_off_in_a_chunk": "broke off",
        "reset": "broke off",
        "stalled": "broke off",
        "silent": "no connection",
        "login_page": "perhaps a page to log in",
        "flipped_bit": "another checksum",
        "no_http": "no connection",
        "absurd_length": "nonsense",
        "round_in_circles": "nonsense",
        404: "404 Not Found",
        403: "403 Forbidden",
        500: "500 Internal Server Error; try again later",
    }.items(),
    ids=str,
)
def test_a_fault_is_one_sentence_and_the_next_try_succeeds(wanted, fault, said):
    wanted.server.fault = fault
    assert said in wanted.sentence()
    wanted.server.fault = "whole"
    assert wanted.get() == wanted.right


def test_no_server_at_all(wanted):
    wanted.server.close()
    assert "no connection" in wanted.sentence()


@pytest.mark.parametrize(
    "proxy, said",
    [
        ("http://127.0.0.1:9", "check https_proxy"),
        ("http://[bad", "check https_proxy"),
        ("http://127.0.0.1:port", "check https_proxy"),
        ("socks5://127.0.0.1:9", "try again"),  # with PySocks or without it
    ],
)
def test_a_proxy_that_is_not_there(wanted, proxy, said, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy)
    assert said in wanted.sentence()


def test_a_proxy_in_the_environment_is_asked(wanted, monkeypatch):
    proxy = Server(wanted.server.body)
    monkeypatch.setenv("http_proxy", proxy.address)
    assert wanted.get() == wanted.right
    assert not wanted.server.requests and proxy.requests[0].startswith("http://127.0.0.1")
    proxy.fault = 407
    wanted.file.unlink()
    assert "the proxy that the environment names lets nothing through" in wanted.sentence()
    proxy.close()


def test_interrupted_in_the_middle_nothing_is_left(wanted, monkeypatch):
    def interrupted(url, file, progress):
        file.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads, "_bring", interrupted)
    with pytest.raises(KeyboardInterrupt):
        wanted.get()
    assert not wanted.litter()


# --- where it is kept ---


@unix
def test_a_full_disk(wanted):
    """A limit on the size of files stands in for it: the system refuses in the middle of a write in the same way."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(wanted.server.body) // 2, limits[1]))
    try:
        assert "the disk is full; make room in" in wanted.sentence()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not wanted.litter() and wanted.get() == wanted.right


@contextmanager
def another_user():
    """Root may write anywhere: for a while this is somebody else. Who is not root stays who he is."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@unix
@pytest.mark.parametrize("there", ["the folder", "nothing"])
def test_a_cache_that_may_not_be_written_to(wanted, cache, there):
    folder = wanted.file.parent if there == "the folder" else cache
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o555)
    with another_user():
        assert "may not be written to; ask somebody who may" in wanted.sentence()
    folder.chmod(0o755)
    assert not wanted.server.requests, "nothing is asked for that cannot be kept"


@unix
def test_a_cache_shared_read_only_works_for_another_user(wanted):
    wanted.get()
    wanted.file.chmod(0o444)
    wanted.file.parent.chmod(0o555)
    with another_user():
        assert wanted.get() == wanted.right
    wanted.file.parent.chmod(0o755)
    assert len(wanted.server.requests) == 1


@unix
def test_a_cache_closed_to_this_user(wanted, cache):
    wanted.get()
    cache.chmod(0o000)
    with another_user():
        assert "may not be written to" in wanted.error_alone()
        if wanted.error is BackboneError:
            assert "not downloaded" in doctor._readiness("squeezenet1_0")
    cache.chmod(0o755)


@unix
def test_a_file_that_only_its_owner_may_read(wanted):
    wanted.get()
    wanted.file.chmod(0o000)
    with another_user():
        assert re.search("cannot be read: Permission denied|may not be written to", wanted.sentence())
    wanted.file.chmod(0o644)


def test_a_folder_where_the_file_should_be(wanted):
    wanted.file.mkdir(parents=True)
    assert "irectory" in wanted.sentence()


def test_a_file_where_the_folder_should_be(wanted):
    wanted.file.parent.parent.mkdir(parents=True, exist_ok=True)
    wanted.file.parent.write_text("no folder")
    assert str(wanted.file.parent) in wanted.sentence()


def test_several_processes_at_once(weights):
    """All at the same moment, each sure that the file is not there."""
    weights.server.fault = "in_pieces"
    code = """if True:
        import sys; from pathlib import Path; from stylelib.downloads import download
        sys.stdin.readline(); download(sys.argv[1], Path(sys.argv[2]), sys.argv[3])"""
    digest = hashlib.sha256(weights.server.body).hexdigest()
    command = [sys.executable, "-c", code, weights.server.address, weights.file, digest]
    downloading = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    said = [each.communicate(b"go\n", timeout=60)[1] for each in downloading]
    assert [each.returncode for each in downloading] == [0, 0, 0], said
    assert weights.litter() == [weights.file.name] and weights.get() == weights.right
    assert len(weights.server.requests) == 3


# --- damaged files that are already there ---


def damaged(body):
    """Every kind of damage that a file can take on a disk."""
    yield from (b"", body[:1], body[: len(body) // 2], body[:-1], b"<html>Log in</html>", bytes(1000), body[::-1])
    random = Random(0)
    for _ in range(12):
        start = random.randrange(len(body))
        yield body[:start] + bytes([body[start] ^ 1 << random.randrange(8)]) + body[start + 1 :]


def test_a_damaged_painting_is_downloaded_again(painting):
    painting.file.parent.mkdir()
    for body in damaged(painting.server.body):
        painting.file.write_bytes(body)
        assert painting.get() == painting.right


def test_a_painting_comes_without_a_word_and_weights_with_a_bar(wanted, capfd):
    wanted.get()
    said = capfd.readouterr()
    assert not said.out and ("100%" in said.err) == (wanted.error is BackboneError)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", ["of today", "of torch 1.5 and before, as torchvision's are"])
def test_damaged_weights_are_named(weights, form):
    """Not found out, in the older form: a bit flipped in the numbers themselves. Files that others have saved anew
    are welcome, and so no checksum can tell."""
    values = {"a": torch.arange(3.0), "b": torch.ones(2, 2)}
    buffer = io.BytesIO()
    torch.save(values, buffer, _use_new_zipfile_serialization=form == "of today")
    weights.file.parent.mkdir(parents=True)
    for body in [*damaged(buffer.getvalue()), pickle.dumps(values), buffer.getvalue()]:
        weights.file.write_bytes(body)
        assert f"The weights file {weights.file} cannot be read: it is damaged" in weights.sentence()
    assert not weights.server.requests, "it is not ours to delete: somebody may have put it there"
