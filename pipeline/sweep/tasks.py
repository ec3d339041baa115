"""The runs as tasks of a Ray cluster (`cluster` starts or joins it).

Ray places the tasks, hands them their data (once to each node, through its object store), retries those whose
worker or node died on another, and keeps processes alive between tasks. A task is a run.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.sweep import worker
from pipeline.sweep.worker import Arrays, Finished, Run, Study

RETRIES = 10
"""How often a run starts again whose worker or node died; a run that fails by itself does not."""

_RETRIES_GPU = 10 * RETRIES
"""A process that had another GPU before gives way to a new one (`worker`), which Ray counts as a death."""

_POLL = 0.5  # seconds between two looks at what the workers report
_GRACE = 30.0  # seconds that interrupted runs have to save their checkpoints


class Options(NamedTuple):
    """Attributes:

    address: `auto`, `ray://...` or `host:port` of a cluster; None starts one on this machine alone.
    cpus_per_run: cores that Ray sets aside for a run; None is the study's `train.threads`, at most what the
        largest machine has, and on this machine alone somewhat less: see `driving.sized`.
    gpus_per_run: share of a GPU.
    max_concurrent: runs at a time at most.
    """

    address: str | None = None
    cpus_per_run: float | None = None
    gpus_per_run: float = 0.0
    max_concurrent: int | None = None


class Failure(NamedTuple):
    """Why a run has no outputs."""

    reason: str


class Stopped(NamedTuple):
    """The run was cancelled; if it had begun, its checkpoint holds what was done."""


Outcome = Finished | Failure | Stopped
Message = Mapping[str, Any]
Event = tuple[Run, Outcome] | Message
Ask = Callable[[], bool]


class Engine:
    """A connection to a Ray cluster; `cluster.connected` makes it."""

    def __init__(self, ray: Any, dashboard: str, local: bool) -> None:
        self._ray, self.dashboard, self.local = ray, dashboard, local
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self._sizes = [(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes]
        self.cpus, self.gpus = (sum(size[kind] for size in self._sizes) for kind in (0, 1))
        self.nodes = len(nodes)
        self._asked: Any = None

    @property
    def largest(self) -> float:
        """Cores of the largest machine."""
        return max((cpus for cpus, _ in self._sizes), default=0.0)

    def fits(self, options: Options) -> bool:
        """Whether a machine that is there now can take a run."""
        needed = (options.cpus_per_run or 0.0, options.gpus_per_run)
        return any(cpus >= needed[0] and gpus >= needed[1] for cpus, gpus in self._sizes)

    def train(
        self,
        study: Study,
        arrays: Arrays,
        runs: Sequence[Run],
        options: Options,
        stop: Ask,
        linger: Ask,
    ) -> Iterator[Event]:
        """Train; yield each run's outcome as it arrives, and the workers' messages in between.

        Args:
            stop: looked at twice a second; once it is set, nothing new starts, and what runs saves a
                checkpoint.
            linger: whether messages are still awaited when all runs are done.
        """
        ray = self._ray
        board = ray.remote(_Board).options(num_cpus=0, max_restarts=-1, max_concurrency=1).remote()
        shared, data = ray.put(study), ray.put(dict(arrays))
        task = ray.remote(
            num_cpus=options.cpus_per_run,
            num_gpus=options.gpus_per_run,
            max_retries=_RETRIES_GPU if options.gpus_per_run else RETRIES,
            max_calls=0,  # Ray would end a process with a GPU after each task; here it is to stay warm
        )(_train)
        waiting, open_tasks = list(reversed(runs)), dict[Any, Run]()
        limit, deadline = options.max_concurrent or len(runs), math.inf
        while waiting or open_tasks:
            if stop():
                if deadline == math.inf:
                    deadline = time.monotonic() + _GRACE
                    for reference in open_tasks:
                        ray.cancel(reference, force=False)
                while waiting:
                    yield waiting.pop(), Stopped()
                if not open_tasks or time.monotonic() > deadline:
                    for one in open_tasks.values():
                        yield one, Stopped()
                    return
            while waiting and len(open_tasks) < limit:
                one = waiting.pop()
                name = f"learning rate {one.learning_rate}, seed {one.seed}"
                open_tasks[task.options(name=name).remote(shared, data, one, board)] = one
            ready, _ = ray.wait(list(open_tasks), num_returns=1, timeout=_POLL)
            if ready:  # and all others that are there by now
                ready, _ = ray.wait(list(open_tasks), num_returns=len(open_tasks), timeout=0)
            yield from self._messages(board)
            for reference in ready:
                yield open_tasks.pop(reference), self._outcome(reference)
        yield from self._messages(board)
        while linger():
            time.sleep(_POLL)
            yield from self._messages(board)

    def _messages(self, board: Any) -> list[Message]:
        """What has arrived by now. A slow answer is waited for again: what it took is nowhere else."""
        self._asked = self._asked or board.take.remote()
        ready, _ = self._ray.wait([self._asked], timeout=5)
        if not ready:
            return []
        asked, self._asked = self._asked, None
        with contextlib.suppress(self._ray.exceptions.RayError):  # its node died; it starts anew
            taken: list[Message] = self._ray.get(asked)
            return taken
        return []

    def _outcome(self, reference: Any) -> Outcome:
        errors = self._ray.exceptions
        try:
            finished: Finished | None = self._ray.get(reference)
        except errors.TaskCancelledError:
            return Stopped()
        except errors.RayTaskError as error:
            return Failure(f"{type(error.cause).__name__}: {error.cause}")
        except errors.RayError as error:
            text = " ".join(str(error).split())
            return Failure(f"{type(error).__name__}, after {RETRIES} more attempts: {text[:300]}")
        return Stopped() if finished is None else finished


def _train(study: Study, arrays: Arrays, run: Run, board: Any) -> Finished | None:
    """The task; `board` is an actor's handle."""
    return worker.train(study, arrays, run, lambda message: board.post.remote(message) and None)


class _Board:
    """An actor on which workers leave their messages."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def post(self, message: Message) -> None:
        self._messages.append(message)

    def take(self) -> list[Message]:
        messages, self._messages = self._messages, []
        return messages
