"""Runs code that nobody has read: in a process and a folder of its own, with limits, and without a network.

What holds it, from the inside out:

- **Everywhere**, a hook of Python's own (PEP 578), which Python code cannot take off again, refuses network
  connections, new processes, signals, and writing outside the folder. The parent watches time, memory and the number
  of processes, and ends all of them.
- **On Linux and macOS**, the system limits file sizes, and on Linux memory.
- **On Linux, where the kernel lets users do it**, the process has a network that leads nowhere and sees no process but
  its own children, which end with it (namespaces); and the kernel itself refuses writing outside (Landlock).

Windows has neither of the last two: there, code that gets around the hook, through ctypes for instance, is held by
the account's rights alone.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

import psutil

# Forked from one that has imported torch, a process starts in a moment. macOS's own libraries do not survive a fork.
METHOD = "forkserver" if sys.platform == "linux" else "spawn"
START_SECONDS = 120  # for a new process to import torch, where it cannot be forked from one that has
TICK = 0.2  # seconds between two looks at a process
PROCESSES = 16  # that one run may have at once
MESSAGE_BYTES, FILE_BYTES = 8_000_000, 64_000_000

Send = Callable[[str], None]


class Limits(NamedTuple):
    seconds: float = 30  # from one message to the next
    memory: int = 2_000_000_000  # bytes, beyond what torch takes


class Stopped(Exception):
    """A run ended before its work did. The text says why."""


def prepare(module: str) -> None:
    """Loads a module once for all runs, where processes can be forked from one that has it."""
    if METHOD == "forkserver":
        multiprocessing.get_context(METHOD).set_forkserver_preload([module])


def run(work: Callable[[object, Send], None], task: object, folder: Path, limits: Limits) -> Iterator[str]:
    """Calls `work(task, send)` in a process of its own and yields what it sends, text by text. Believe none of it.

    Raises:
        Stopped: it broke a limit or came to another end than returning.
    """
    context = multiprocessing.get_context(METHOD)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_inside, args=(work, task, sender, str(folder), limits), daemon=True)
    process.start()
    sender.close()
    watch = _Watch(process.pid, limits)
    try:
        yield from _messages(process, receiver, watch)
    finally:
        watch.end()
        process.join()
        receiver.close()


def _messages(process: multiprocessing.Process, receiver: Connection, watch: "_Watch") -> Iterator[str]:
    deadline, ready = time.monotonic() + START_SECONDS, False
    while True:
        ended = process.sentinel in wait([receiver, process.sentinel], TICK)
        if receiver.poll():
            try:
                text = receiver.recv_bytes(MESSAGE_BYTES).decode(errors="replace")
            except (EOFError, OSError):  # the other end is closed, or the message is too long
                process.join(5)
                return _expect_good_end(process)
            if ready:
                yield text
            else:
                watch.begin()
            ready, deadline = True, time.monotonic() + watch.limits.seconds
        elif ended:
            return _expect_good_end(process)
        elif time.monotonic() > deadline:
            raise Stopped(f"it took more than {watch.limits.seconds:g} seconds and was stopped")
        elif ready:
            watch.look()


def _expect_good_end(process: multiprocessing.Process) -> None:
    status = process.exitcode
    if status is None:
        raise Stopped("it closed its line to the grader")
    if status < 0 or status > 128:
        number = -status if status < 0 else status - 128
        names = {number.value: number.name for number in signal.Signals}
        raise Stopped(f"its process crashed ({names.get(number, number)})")
    if status != FINISHED:
        raise Stopped(f"its process ended itself (exit status {status}), as os._exit does")


FINISHED = 77  # the exit status of work that returned; one that ends itself would have to guess it


class _Watch:
    """The processes of one run, and what they may take."""

    def __init__(self, pid: int, limits: Limits):
        self.limits = limits
        self._seen = {}
        self._each = 0
        self._pid = pid
        self._collect()

    def begin(self) -> None:
        """What a process takes now, torch above all, is not held against the work."""
        self._each = max(self._memory(), default=0)

    def look(self) -> None:
        memory = self._memory()
        if len(memory) > PROCESSES:
            raise Stopped(f"it started more than {PROCESSES} processes and was stopped")
        if sum(memory) > self.limits.memory + len(memory) * self._each:
            raise Stopped(f"it needed more than {self.limits.memory / 1e9:g} GB of memory and was stopped")

    def end(self) -> None:
        """Ends all of them: children first, so that none is left without a parent that is known here."""
        for _ in range(50):
            self._collect()
            alive = [process for process in self._seen.values() if _alive(process)]
            if not alive:
                return
            for process in reversed(alive):
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(alive, timeout=TICK)

    def _memory(self) -> list[int]:
        self._collect()
        found = []
        for process in self._seen.values():
            with contextlib.suppress(psutil.Error):
                found.append(process.memory_info().rss)
        return found

    def _collect(self) -> None:
        for pid in [self._pid, *self._seen]:
            with contextlib.suppress(psutil.Error):
                parent = self._seen.setdefault(pid, psutil.Process(pid))
                for child in parent.children(recursive=True):
                    self._seen.setdefault(child.pid, child)


def _alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


# --- what happens in the new process ---


def _inside(work: Callable, task: object, sender: Connection, folder: str, limits: Limits) -> None:
    folder = os.path.realpath(folder)
    address_space = (
        psutil.Process().memory_info().vms + limits.memory
    )  # asked now: later this process has another number
    _forget_the_surroundings(folder, sender.fileno())
    if sys.platform == "linux":
        _leave_network_and_processes(sender)
        _write_only_in(folder)
    _limit(address_space)
    sys.addaudithook(_hook(folder))
    sender.send_bytes(b"ready")
    work(task, lambda text: sender.send_bytes(text.encode()))
    os._exit(FINISHED)


def _forget_the_surroundings(folder: str, kept: int) -> None:
    """No variables of the lecturer, no terminal, no open files but the line to the parent."""
    needed = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG", "LC_ALL") if name in os.environ}
    os.environ.clear()
    os.environ.update(needed, HOME=folder, USERPROFILE=folder, MPLCONFIGDIR=folder, MPLBACKEND="agg")
    os.environ.update(TMPDIR=folder, TEMP=folder, TMP=folder)
    tempfile.tempdir = folder
    os.chdir(folder)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    if hasattr(os, "setsid"):
        os.setsid()
        os.closerange(3, kept)
        os.closerange(kept + 1, 1024)


CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x20000,
    0x8000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38


def _leave_network_and_processes(sender: Connection) -> None:
    """Goes on in a child that sees neither; this process stays behind as its guard. Does nothing if not allowed to."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC):
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    if child := os.fork():
        sender.close()
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) % 256 if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446  # the same on every processor
# write to files, remove, make directories, files, sockets, pipes, devices and links; all but reading and executing
WRITING = sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12))
TRUNCATING = 1 << 14  # known from the third version on


def _write_only_in(folder: str) -> None:
    """Asks the kernel to refuse writing outside the folder, from now on and for all children; older ones cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return
    handled = WRITING | (TRUNCATING if version >= 3 else 0)
    rules = libc.syscall(LANDLOCK_CREATE_RULESET, ctypes.byref(ctypes.c_uint64(handled)), ctypes.c_size_t(8), 0)
    for path, allowed in ((folder, handled), (os.devnull, 1 << 1)):
        place = os.open(path, os.O_PATH)
        rule = handled.to_bytes(8, sys.byteorder) if path == folder else allowed.to_bytes(8, sys.byteorder)
        libc.syscall(LANDLOCK_ADD_RULE, rules, 1, rule + place.to_bytes(4, sys.byteorder), 0)
        os.close(place)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.syscall(LANDLOCK_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _limit(address_space: int) -> None:
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    wanted = {
        resource.RLIMIT_AS: address_space,
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        with contextlib.suppress(ValueError, OSError):  # macOS knows RLIMIT_AS and refuses it
            resource.setrlimit(kind, (value, value))


NETWORK = ("socket.bind", "socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostby")
PROCESS = ("os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "pty.spawn", "subprocess.")
SIGNAL = ("os.kill", "signal.pthread_kill")
CHANGE = ("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink")
CHANGE += ("os.truncate", "os.utime", "shutil.rmtree")
TWO_PATHS = ("os.link", "os.rename", "os.symlink")
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _hook(folder: str) -> Callable[[str, tuple], None]:
    """What Python asks before each of these; an exception is a no."""
    real, inside, nothing = os.path.realpath, os.path.join(folder, ""), os.devnull

    def refuse(what: str) -> None:
        raise PermissionError(f"a graded answer may not {what}")

    def expect_inside(path: object) -> None:
        path = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if path and path != nothing and not real(path).startswith(inside):
            refuse("write outside its folder")

    def hook(event: str, arguments: tuple) -> None:
        if event == "open":
            path, mode, flags = arguments
            if (mode and set(mode) & set("wax+")) or (flags or 0) & WRITE_FLAGS:
                expect_inside(path)
        elif event.startswith(CHANGE):
            for path in arguments[: 2 if event in TWO_PATHS else 1]:
                expect_inside(path)
        elif event.startswith(NETWORK):
            refuse("use a network")
        elif event.startswith(PROCESS):
            refuse("start another process")
        elif event.startswith(SIGNAL):
            refuse("send signals")

    return hook
