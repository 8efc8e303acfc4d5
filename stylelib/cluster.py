"""Work for an existing Dask cluster: many pictures, or the shots of a film."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 10  # seconds, for a scheduler to answer


def connect(address: str) -> "Client":
    """A client of the cluster whose scheduler has this address, as in "tcp://10.0.0.5:8786".

    Raises:
        ValueError: the cluster cannot be reached, or `distributed` is not installed.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError("A cluster needs Dask; install it with: uv pip install distributed") from error
    try:
        return Client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise ValueError(f"No Dask scheduler answers at {address} ({str(error).splitlines()[0]}).") from error


def at_once(client: "Client") -> int:
    """How many tasks to hand out before the first is done: one to do and one to go on with, for each core."""
    return 2 * max(1, len(client.ncores()))


def in_order(client: "Client", function: Callable, tasks: Iterable[tuple]) -> Iterator[Any]:
    """`function(*task)` for each task, in order; a few are under way at once. One whose worker dies begins again.

    Raises:
        ValueError: a task whose workers died one after the other.
        what a task raises.
    """
    from distributed import KilledWorker

    def result() -> Any:
        try:
            return running.popleft().result()
        except KilledWorker as error:
            raise ValueError(f"The cluster gave up a part of the work: {error}") from error

    running: deque = deque()
    for task in tasks:
        running.append(client.submit(function, *task, pure=False))
        if len(running) >= at_once(client):
            yield result()
    while running:
        yield result()
