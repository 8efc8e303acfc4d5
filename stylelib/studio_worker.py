"""A thread that does one thing at a time, so that the kernel stays free for clicks."""

import atexit
import math
import queue
import threading
import time
import weakref
from collections.abc import Callable

from .transfer import Stop

PATIENCE = 5.0  # seconds that the end of the program waits for a job to stop


class Job:
    """Something that a `Worker` does, or has done.

    Attributes:
        error: what it failed with; None if it did not.
    """

    def __init__(self, work: Callable[["Job"], object]):
        self.work, self.error = work, None
        self._stop, self._over = threading.Event(), threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether it has been asked to stop."""
        return self._stop.is_set()

    @property
    def over(self) -> bool:
        """Whether it has come to its end."""
        return self._over.is_set()

    def stop(self) -> None:
        """Asks it to stop; it will at its next `check`."""
        self._stop.set()

    def check(self, *_) -> None:
        """Raises `Stop` once it has been asked to; an `on_step`, or part of one."""
        if self.stopped:
            raise Stop

    def wait(self, seconds: float | None = None) -> bool:
        """Waits for its end, so many seconds at most, and returns whether it came."""
        return self._over.wait(seconds)

    def run(self) -> None:
        """Does the work, here and now. What it raises is kept, not raised."""
        try:
            self.work(self)
        except Stop:
            pass
        except BaseException as error:  # of whatever kind: the thread must live on, and somebody must be told
            self.error = error
        finally:
            self._over.set()


class Worker:
    """Does jobs one after the other in one thread; a new one stops those before it.

    One thread for all of them, because each thread that torch computes in gets helpers and memory of its own.
    """

    def __init__(self):
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._latest: Job | None = None
        self._thread = threading.Thread(target=_serve, args=(self._jobs,), name="studio", daemon=True)
        self._thread.start()
        weakref.finalize(self, self._jobs.put, None)
        atexit.register(_close, weakref.ref(self))

    def start(self, work: Callable[[Job], object]) -> Job:
        """Has `work(job)` done as soon as what is being done has stopped. It is called even if it was stopped before it
        began, so that it can tell; so it begins with a `job.check()`."""
        if self._latest:
            self._latest.stop()
        self._latest = Job(work)
        self._jobs.put(self._latest)
        return self._latest

    def close(self) -> None:
        """Stops what is being done and waits for the thread's end, for a while."""
        if self._latest:
            self._latest.stop()
        self._jobs.put(None)
        self._thread.join(PATIENCE)


def _serve(jobs: "queue.SimpleQueue[Job | None]") -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job  # a job holds pictures; the thread may wait long for the next one


def _close(worker: "weakref.ref[Worker]") -> None:
    if (alive := worker()) is not None:  # a thread inside torch while Python ends would crash it
        alive.close()


class Pace:
    """Says when it is time for the next picture: at most every so many seconds, and for a small share of the time.

    Args:
        interval: seconds from one to the next.
        share: of the time that drawing may take.
    """

    def __init__(self, interval: float = 0.25, share: float = 0.08):
        self.interval, self.share = interval, share
        self.next = -math.inf
        self.spent = 0.0

    def draw(self, draw: Callable[[], object], anyway: bool = False) -> None:
        """Calls `draw` if it is time, or `anyway`."""
        began = time.monotonic()
        if began < self.next and not anyway:
            return
        draw()
        now = time.monotonic()
        self.spent += now - began
        self.next = now + max(self.interval, (now - began) / self.share)
