"""Tiles are handed out a few at a time, in this process or to the workers of dask.distributed.

What is done is in the store and nowhere else: a run that is killed, wherever, is continued by the next.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import logging
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from ntkrnn.gram._errors import WorkersError
from ntkrnn.gram._job import Job
from ntkrnn.gram._tilestore import Ledger

_AHEAD = 2
"""Tiles in flight for each thread that computes: the next is at hand when one is done."""
_FLUSHED = 1.0
"""Seconds between two writes of the ledger; what comes later is found again in the tiles."""
_ASKED = 2.0
"""Seconds between two looks at who is there and who is late."""
_STRAGGLER = 4.0
"""A tile that takes this many times the median is given to a second worker, if one is idle."""

Tile = tuple[int, int]


class InProcess:
    """Threads of this process: one tile is written while another is computed."""

    def __init__(self) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(_AHEAD)
        self.slots = _AHEAD
        self.spare = 0
        self.dashboard = None

    def submit(self, job: Job, tile: Tile) -> Any:
        """A future of the checksums."""
        return self._pool.submit(job, *tile)

    def wait(self, futures: list[Any]) -> list[Any]:
        """Those of the futures that have ended, at least one."""
        done, _ = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED)
        return list(done)

    def result(self, future: Any) -> list[int] | None:
        """The checksums; None if the tile has to be handed out again."""
        return future.result()

    def close(self, futures: list[Any]) -> None:
        """Let go of what has not begun, and wait for what has."""
        for future in futures:
            future.cancel()
        self._pool.shutdown(wait=True)


class Workers:
    """The workers of a ``distributed.Client``."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.dashboard: str | None = client.dashboard_link
        self._there, self._asked = 0, -math.inf

    @property
    def slots(self) -> int:
        """Tiles in flight: for those workers that are there now."""
        return _AHEAD * max(1, self._threads())

    @property
    def spare(self) -> int:
        """More that may be in flight at the end, when others are waited for."""
        return self._threads()

    def _threads(self) -> int:
        """Asked of the scheduler now and then: workers come and go."""
        if time.monotonic() > self._asked + _ASKED:
            self._there = sum(self._client.nthreads().values())
            self._asked = time.monotonic()
        return self._there

    def submit(self, job: Job, tile: Tile) -> Any:
        """A future of the checksums."""
        return self._client.submit(job, *tile, pure=False)

    def wait(self, futures: list[Any]) -> list[Any]:
        """Those of the futures that have ended; after a while none, so that stragglers are seen.

        Raises:
            WorkersError: if the scheduler is gone.
        """
        import distributed
        from distributed.client import FuturesCancelledError

        with contextlib.suppress(TimeoutError, FuturesCancelledError):
            distributed.wait(futures, timeout=_ASKED, return_when="FIRST_COMPLETED")
        if self._client.status != "running":
            raise WorkersError(
                "client: the scheduler is gone; start one, and compute again with the same store."
            )
        return [future for future in futures if future.status != "pending"]

    def result(self, future: Any) -> list[int] | None:
        """The checksums; None if the tile has to be handed out again.

        A tile whose worker is lost goes to another one without our doing.

        Raises:
            WorkersError: if it has lost several.
        """
        import distributed

        if future.status in ("cancelled", "lost"):
            return None
        try:
            return future.result()
        except distributed.KilledWorker as error:
            raise WorkersError(
                f"client: a tile has lost every worker that it was given to ({error}); they may have "
                "too little memory. Give them more, or pass a smaller tile for a new store."
            ) from None

    def close(self, futures: list[Any]) -> None:
        """Let go of all."""
        with contextlib.suppress(Exception):  # whatever a scheduler that is gone makes of it
            self._client.cancel(futures, force=True)


def run(
    engine: InProcess | Workers,
    job: Job,
    ledger: Ledger,
    todo: list[Tile],
    report: Callable[[int], None],
) -> None:
    """Compute tiles and mark them in the ledger.

    Args:
        engine: who computes.
        job: what is computed.
        ledger: of the store.
        todo: tiles, in the order that they are handed out.
        report: called with the number of tiles done.

    Raises:
        WorkersError: if the workers are gone for good; OSError for a full disk; what a tile raises.
    """
    waiting, flying = list(reversed(todo)), {}
    took: list[float] = []
    written = time.monotonic()
    finished: set[Tile] = set()
    try:
        while waiting or flying:
            for _ in range(min(len(waiting), engine.slots - len(flying))):
                tile = waiting.pop()
                flying[engine.submit(job, tile)] = (tile, time.monotonic())
            for tile in _stragglers(engine, flying, took) if not waiting else ():
                flying[engine.submit(job, tile)] = (tile, time.monotonic())
            for future in engine.wait(list(flying)):
                tile, began = flying.pop(future)
                if tile in finished:
                    continue
                sums = engine.result(future)
                if sums is None:
                    if all(other != tile for other, _ in flying.values()):
                        waiting.append(tile)
                    continue
                took.append(time.monotonic() - began)
                ledger.mark(tile[0], tile[1], sums)
                finished.add(tile)
                report(len(finished))
            if all(tile in finished for tile, _ in flying.values()) and not waiting:
                break
            if time.monotonic() - written > _FLUSHED:
                ledger.flush()
                written = time.monotonic()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(
            errno.ENOSPC,
            f"no space is left for the store; {len(finished)} tiles of this run are in it. Make room, "
            "and compute again with the same store",
            job.url,
        ) from error
    finally:
        engine.close(list(flying))
        with contextlib.suppress(OSError):  # of a full disk: the tiles say the same
            ledger.flush()


def _stragglers(engine: InProcess | Workers, flying: dict[Any, Any], took: list[float]) -> list[Tile]:
    """Tiles that are given to a second worker."""
    if not took or len(flying) >= engine.slots:
        return []
    late = time.monotonic() - _STRAGGLER * statistics.median(took)
    tiles = [tile for tile, _ in flying.values()]
    slow = [tile for tile, began in flying.values() if began < late and tiles.count(tile) == 1]
    return slow[: engine.spare]


@contextlib.contextmanager
def engine_of(client: Any) -> Iterator[InProcess | Workers]:
    """The engine that ``client`` stands for.

    Args:
        client: None for this process; a whole number for as many workers on this machine, which share
            its cores; the address of a scheduler; or a ``distributed.Client``.

    Raises:
        ImportError: without dask.distributed.
        TypeError, ValueError: for something else.
        WorkersError: if the scheduler cannot be reached.
    """
    if client is None:
        yield InProcess()
        return
    try:
        import distributed
    except ImportError:
        raise ImportError(
            "client: workers need dask.distributed; install it with pip install 'ntkrnn[distributed]'."
        ) from None
    if isinstance(client, distributed.Client):
        yield Workers(client)
    elif isinstance(client, int) and not isinstance(client, bool):
        with local_cluster(client) as cluster, distributed.Client(cluster) as made:
            yield Workers(made)
    elif isinstance(client, str):
        try:
            made = distributed.Client(client, timeout=10)
        except (OSError, TimeoutError, ValueError) as error:
            raise WorkersError(
                f"client: no scheduler answers at {client} ({type(error).__name__}); expected the "
                "address that dask scheduler prints, such as tcp://10.0.0.1:8786."
            ) from None
        with made:
            yield Workers(made)
    else:
        raise TypeError(
            f"client: got {type(client).__name__}, expected None, a number of workers, the address of "
            "a scheduler, or a distributed.Client."
        )


_ENVIRONMENT = {
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": 1,
        "OPENBLAS_NUM_THREADS": 1,
        "MKL_NUM_THREADS": 1,
        "MALLOC_TRIM_THRESHOLD_": 1 << 30,
        "MALLOC_MMAP_THRESHOLD_": 1 << 30,
    }
}
"""dask has its workers hand memory back to the system at once, and tiles of 16 MiB would be asked for,
a page at a time, over and over: a tenth of the time."""


def local_cluster(workers: int) -> Any:
    """A ``distributed.LocalCluster`` of processes, each on its own share of the cores.

    Raises:
        ValueError: unless there is at least one worker.
    """
    import dask.config
    import distributed

    if workers < 1:
        raise ValueError(f"client: got {workers} workers, expected at least 1.")
    with dask.config.set(_ENVIRONMENT):
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        )
    with distributed.Client(cluster) as client:
        client.register_plugin(_share(workers))  # a worker that is started again has its cores again
    return cluster


def _share(workers: int) -> Any:
    """A plugin that keeps a worker on its share of the cores, before JAX counts them."""
    import distributed

    class Share(distributed.WorkerPlugin):
        name = "cores"

        def setup(self, worker: Any) -> None:
            import os

            if hasattr(os, "sched_setaffinity"):
                cores, k = sorted(os.sched_getaffinity(0)), int(worker.name)
                size = max(1, len(cores) // workers)
                os.sched_setaffinity(0, {cores[(k * size + c) % len(cores)] for c in range(size)})

    return Share()
