"""Schedulers: they compute the boxes of a pass in threads of this process, or on the workers of a Dask cluster.

In both cases each box is a task of one graph. A cluster's scheduler gets the work once (a few kilobytes: paths,
options, the name of the model), and a few numbers for each box.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from dask import threaded
from dask.base import compute
from dask.delayed import delayed

from geomedsr.devices import keep_memory
from geomedsr.errors import InputError, OutputError
from geomedsr.geometry import Box
from geomedsr.inference.stopping import Flight, Stopped

#: How often a box is retried on another worker if its worker dies.
_RETRIES = 2

#: Threads of each worker in a local cluster.
_THREADS = 1

#: Called for each stored box, with the largest deviation in it.
Report = Callable[[Box, float | None], None]


class Work(Protocol):
    """Computes and stores a box, as :class:`geomedsr.inference.passes.PassWork` does. Picklable after :meth:`alone`."""

    def __call__(self, box: Box, *inputs: Any) -> float | None:
        """Compute and store a box, given its ``inputs``; returns the largest deviation."""

    def inputs(self, box: Box) -> tuple[Any, ...]:
        """Tasks that dask must compute before a box; may be empty."""

    def alone(self) -> Work:
        """The same work without the dask arrays; it is then called with the results of ``inputs``."""


class Scheduler(Protocol):
    """Something that computes boxes."""

    #: How many boxes are computed at once.
    count: int

    def run(self, work: Work, boxes: Sequence[Box], report: Report) -> None:
        """Compute all boxes. The first error is raised after all computation has stopped."""

    def at_most(self, count: int) -> Scheduler:
        """The same scheduler with at most ``count`` threads; a cluster keeps its own number."""


class Threads:
    """Dask's threads on this machine."""

    def __init__(self, count: int) -> None:
        self.count = count

    def at_most(self, count: int) -> Threads:
        """See :class:`Scheduler`."""
        return Threads(min(count, self.count))

    def run(self, work: Work, boxes: Sequence[Box], report: Report) -> None:
        """See :class:`Scheduler`."""
        flight, alone = Flight(), work.alone()

        def one(box: Box, *inputs: Any) -> None:
            with flight():
                deviation = alone(box, *inputs)
                report(box, deviation)

        store = delayed(one, pure=False)
        try:
            names = zip(_names(len(boxes)), boxes, strict=True)
            tasks = [store(box, *work.inputs(box), dask_key_name=name) for name, box in names]
            compute(tasks, scheduler=threaded.get, num_workers=self.count)  # a name would import distributed first
        except Stopped as error:  # pragma: no cover - another thread's error comes first
            raise KeyboardInterrupt from error
        finally:
            flight.stop()


class Cluster:
    """The workers of a ``dask.distributed`` client."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.count = max(1, sum(client.nthreads().values()))

    def at_most(self, count: int) -> Cluster:
        """See :class:`Scheduler`."""
        return self

    def run(self, work: Work, boxes: Sequence[Box], report: Report) -> None:
        """See :class:`Scheduler`."""
        from distributed import CancelledError, as_completed
        from distributed.comm.core import CommClosedError
        from distributed.scheduler import KilledWorker

        shared = delayed(_Constant(work.alone()), traverse=False, pure=False)()
        store: Any = delayed(_apply, pure=False)
        names = zip(_names(len(boxes)), boxes, strict=True)
        tasks = [store(shared, box, *work.inputs(box), dask_key_name=name) for name, box in names]
        futures = dict(zip(self.client.compute(tasks, retries=_RETRIES), boxes, strict=True))
        try:
            for future in as_completed(futures, loop=self.client.loop):
                box = futures[future]
                try:
                    deviation = future.result()
                except KilledWorker as error:
                    raise OutputError(
                        f"a region at column {box.start[2]}, row {box.start[1]} whose workers died "
                        "repeatedly (too little memory?)",
                        "workers that stay alive",
                        "give them more memory, or smaller regions with --tile; the same command goes on",
                    ) from error
                report(box, deviation)
                future.release()
        except (CancelledError, CommClosedError) as error:
            raise OutputError(
                "a cluster whose scheduler is gone", "one that answers", "start it again; the same command goes on"
            ) from error
        finally:
            with suppress(CancelledError, CommClosedError):
                self.client.cancel(list(futures))

    def check_shared(self, folder: str, sources: Sequence[str]) -> None:
        """Raise an OutputError unless all workers see a folder of this machine, or an InputError for sources."""
        blind = [worker for worker, sees in self.client.run(os.path.isdir, folder).items() if not sees]
        if blind:
            raise OutputError(
                f"the folder {os.path.dirname(os.path.dirname(folder))}, which the worker {blind[0]} does not see",
                "a destination on a disk that all workers share",
                "write to such a disk, or use the workers of one machine",
            )
        for worker, hidden in self.client.run(_missing, list(sources)).items():
            if hidden:
                raise InputError(
                    f"the source {hidden[0]}, which the worker {worker} does not see",
                    "sources on a disk that all workers share, under the same path",
                    "copy them to such a disk, or use the workers of one machine",
                )


def _missing(paths: list[str]) -> list[str]:
    return [path for path in paths if not os.path.exists(path)]


class _Constant:
    """A task that returns the work, so that each worker receives it once."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def __call__(self) -> Work:
        return self.work


def _apply(work: Work, box: Box, *inputs: Any) -> float | None:
    """Do the work in a new thread: ``keep_memory`` only affects threads started after it, unlike the worker's own."""
    keep_memory()
    with ThreadPoolExecutor(1) as own:
        return own.submit(work, box, *inputs).result()


def _names(count: int) -> list[str]:
    """Task names that run in the order of the list: among equal tasks dask starts with the last, so numbers descend."""
    run = uuid.uuid4().hex
    return [f"geomedsr-{run}-{number:09d}" for number in reversed(range(count))]


@contextmanager
def scheduler(cluster: Any, threads: int) -> Iterator[Threads | Cluster]:
    """The scheduler that a user names (see :func:`geomedsr.write`); by default an active client, or threads.

    Raises:
        InputError: no such cluster, or ``distributed`` is not installed.
    """
    client = active_client() if cluster is None else None
    if client is not None:
        yield Cluster(client)
    elif cluster is None:
        yield Threads(threads)
    elif not isinstance(cluster, str) and hasattr(cluster, "submit"):
        yield Cluster(cluster)
    else:
        with _connected(cluster) as client:
            yield Cluster(client)


def active_client() -> Any:
    """The program's current ``distributed.Client``; None if there is none."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None


@contextmanager
def _connected(address: Any) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "--cluster without the package distributed", "it", "pip install 'geomedsr[cluster]'"
        ) from error
    kind, _, number = address.partition(":") if isinstance(address, str) else ("", "", "")
    if kind == "local":
        if not number.isdigit() or int(number) < 1:
            raise InputError(f"the cluster {address!r}", "local:N with a number of processes", "write local:2")
        with local_cluster(int(number)) as client:
            yield client
        return
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"the cluster {address!r} ({' '.join(str(error).split())[:120]})",
            "the address of a Dask scheduler such as tcp://host:8786, or local:N",
            "check it, and that the scheduler runs",
        ) from error
    with client:
        if not client.nthreads():
            raise InputError(f"the cluster {address}, which has no workers", "at least one", "start some")
        yield client


#: A cluster that is started here does not profile itself, and checks its event loop once a second, not fifty times.
_QUIET = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "1s"}


@contextmanager
def local_cluster(count: int) -> Iterator[Any]:
    """The client of a cluster of ``count`` processes on this machine, with one thread each."""
    import dask.config
    from distributed import Client, LocalCluster

    with (
        _environment_kept(),
        dask.config.set(_QUIET),
        LocalCluster(n_workers=count, threads_per_worker=_THREADS, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Restore environment variables at the end: a nanny sets OMP_NUM_THREADS and others and does not reset them."""
    import dask.config

    names = list(dask.config.get("distributed.nanny.pre-spawn-environ", {}))
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
