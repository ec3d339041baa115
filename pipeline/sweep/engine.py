"""The runs as tasks of a Ray cluster; `cluster` starts or joins it.

Ray assigns the tasks, gives them their data (once to each node, through its object store), tries those whose
worker or node died again on another, and keeps processes alive between tasks. A task is a run.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.sweep import Message, SweepRun, worker
from pipeline.sweep.worker import SweepStudy, Trained
from pipeline.train.examples import Examples

_RETRIES = 10  # of a run whose worker or node died; one that fails by itself is not tried again
_RETRIES_GPU = 10 * _RETRIES  # a process that had another GPU before gives way (`worker`): to Ray, a death
_POLL = 0.5  # seconds between two looks at what the workers report


class Options(NamedTuple):
    """What the command line asks of the cluster.

    Attributes:
        address: `auto`, `ray://...` or `host:port` of a cluster; None starts one on this machine alone.
        cpus_per_run: cores that Ray sets aside for a run; None leaves it to `driver.sized`.
        gpus_per_run: share of a GPU.
        max_concurrent: runs at a time at most.
    """

    address: str | None = None
    cpus_per_run: float | None = None
    gpus_per_run: float = 0.0
    max_concurrent: int | None = None


class Failed(NamedTuple):
    """A run without outputs that would fail again."""

    reason: str


RunEnd = tuple[SweepRun, Trained | Failed | None]
"""A run, and what became of it; None: it was interrupted, and its checkpoint holds what was done."""


class Engine:
    """A connection to a Ray cluster, as `cluster.connect` makes it.

    Args:
        grace: seconds that interrupted runs have to save their checkpoints.
    """

    def __init__(self, ray: Any, dashboard: str, local: bool, grace: float = 30.0) -> None:
        self._ray, self.dashboard, self.local, self._grace = ray, dashboard, local, grace
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self.sizes = [(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes]
        self._request: Any = None

    def fits(self, options: Options) -> bool:
        """Decide whether a machine that is there now can take a run."""
        needed = options.cpus_per_run or 0.0
        return any(cpus >= needed and gpus >= options.gpus_per_run for cpus, gpus in self.sizes)

    def train(
        self,
        study: SweepStudy,
        examples: Mapping[str, Examples],
        runs: Sequence[SweepRun],
        options: Options,
        stop: Callable[[], bool],
    ) -> Iterator[RunEnd | Message]:
        """Train; yield each run's end as it comes, and the workers' messages in between.

        Args:
            stop: asked twice a second; once it is true, nothing new starts, and what runs saves a checkpoint.
        """
        ray = self._ray
        mailbox = ray.remote(_Mailbox).options(num_cpus=0, max_restarts=-1).remote()
        shared, data = ray.put(study), ray.put(dict(examples))
        task = ray.remote(
            num_cpus=options.cpus_per_run,
            num_gpus=options.gpus_per_run,
            max_retries=_RETRIES_GPU if options.gpus_per_run else _RETRIES,
            max_calls=0,  # Ray would end a process with a GPU after each task; here it is to stay warm
        )(_train)
        waiting, open_tasks = list(reversed(runs)), dict[Any, SweepRun]()
        limit, deadline = options.max_concurrent or len(runs), math.inf
        while waiting or open_tasks:
            if stop():
                if deadline == math.inf:
                    deadline = time.monotonic() + self._grace
                    for reference in open_tasks:
                        ray.cancel(reference, force=False)
                while waiting:
                    yield waiting.pop(), None
                if not open_tasks or time.monotonic() > deadline:
                    yield from ((run, None) for run in open_tasks.values())
                    return
            while waiting and len(open_tasks) < limit:
                run = waiting.pop()
                open_tasks[task.options(name=run.name).remote(shared, data, run, mailbox)] = run
            ready, _ = ray.wait(list(open_tasks), num_returns=1, timeout=_POLL)
            if ready:  # and all others that are there by now
                ready, _ = ray.wait(list(open_tasks), num_returns=len(open_tasks), timeout=0)
            yield from self._messages(mailbox)
            for reference in ready:
                run, result = open_tasks.pop(reference), self._result(reference)
                if result is None and not stop():  # a signal to its worker alone, which left a checkpoint
                    waiting.append(run)
                else:
                    yield run, result
        yield from self._messages(mailbox)

    def _messages(self, mailbox: Any) -> list[Message]:
        """Take what has arrived. A slow answer is waited for again: what it took is nowhere else."""
        self._request = self._request or mailbox.take.remote()
        ready, _ = self._ray.wait([self._request], timeout=5)
        if not ready:
            return []
        answered, self._request = self._request, None
        with contextlib.suppress(self._ray.exceptions.RayError):  # its node died; it starts anew
            return list(self._ray.get(answered))
        return []

    def _result(self, reference: Any) -> Trained | Failed | None:
        errors = self._ray.exceptions
        try:
            trained: Trained | None = self._ray.get(reference)
            return trained
        except errors.TaskCancelledError:
            return None
        except errors.RayTaskError as error:
            return Failed(f"{type(error.cause).__name__}: {error.cause}")
        except errors.RayError as error:
            text = " ".join(str(error).split())
            return Failed(f"{type(error).__name__}: {text[:300]}")


def _train(
    study: SweepStudy, examples: Mapping[str, Examples], run: SweepRun, mailbox: Any
) -> Trained | None:
    """Carry out a task; `mailbox` is an actor's handle."""
    return worker.train(study, examples, run, lambda message: mailbox.post.remote(message) and None)


class _Mailbox:
    """An actor with which workers leave their messages."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def post(self, message: Message) -> None:
        self._messages.append(message)

    def take(self) -> list[Message]:
        messages, self._messages = self._messages, []
        return messages
