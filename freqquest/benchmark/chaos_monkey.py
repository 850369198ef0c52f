"""A monkey that breaks a cluster at random moments, and someone who repairs it.

The cluster is on this machine: a head that runs no tasks, and nodes of one core, each of which
stands for a machine whose processes die or freeze together.
"""

import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, NamedTuple

import psutil

from freqquest.benchmark.chaos_storage import STORAGE_FAULTS, FaultyProxy, fill
from freqquest.benchmark.one_core_nodes import add_one_core_node, one_core_nodes

if TYPE_CHECKING:
    from ray._private.node import Node
    from ray.cluster_utils import Cluster

NUM_NODES = 3

_IDLE = "ray::IDLE"
_OF_RAY = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""Titles of processes of a node that belong to Ray itself."""

_DETACHED = (
    "ray::_AutoscalingCoordinatorActor",
    "ray::_StatsActor",
    "ray::ActorLocationTracker",
    "ray::PlacementGroupCleaner",
)
"""Titles of actors of Ray's libraries that stay for later jobs."""

_LASTS_S = (3.0, 12.0)
"""Shortest and longest time that a fault lasts which is not a kill, in seconds."""


class Fault(NamedTuple):
    """A fault that was injected."""

    name: str
    seconds: float
    """Time since the beginning of the round."""
    job: str
    """Job that was running."""
    attempt: int


class Machines:
    """A cluster that can be broken and repaired."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._start()

    def _start(self) -> None:
        self._cluster: Cluster = self._stack.enter_context(one_core_nodes(NUM_NODES))
        self._has_head = True
        self._frozen: list[Node] = []

    @property
    def address(self) -> str:
        """Address of the cluster."""
        return str(self._cluster.address)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that run tasks and actors, of all nodes."""
        found = [each for node in self._cluster.list_all_nodes() for each in _children(node)]
        titles = [(each, _title(each)) for each in found]
        return [
            each
            for each, title in titles
            if title.startswith("ray::") and not title.startswith(_OF_RAY)
        ]

    def busy_workers(self) -> list[str]:
        """Return the titles of the processes that are running a task, or hold an actor."""
        titles = [_title(each) for each in self.workers()]
        return [title for title in titles if title and not title.startswith((_IDLE, *_DETACHED))]

    @property
    def can_spare_node(self) -> bool:
        """True if another node is left where one fails; without any, jobs would wait."""
        return len(self._whole_nodes()) > 1

    def _whole_nodes(self) -> "list[Node]":
        nodes = [node for node in self._cluster.worker_nodes if node not in self._frozen]
        return sorted(
            (node for node in nodes if not node.dead_processes()), key=lambda node: node.unique_id
        )

    def lose_node(self, rng: random.Random) -> None:
        """Kill all processes of a node."""
        self._remove(rng.choice(self._whole_nodes()))

    def _remove(self, node: "Node") -> None:
        workers = _children(node)
        self._cluster.remove_node(node, allow_graceful=False)
        for worker in workers:
            _send(worker, signal.SIGKILL)

    def freeze_node(self, rng: random.Random) -> Callable[[], None]:
        """Freeze all processes of a node, so that it no longer answers; return how to thaw it."""
        node = rng.choice(self._whole_nodes())
        self._frozen.append(node)
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        frozen = [raylet, *_children(node)]
        for process in frozen:
            _send(process, signal.SIGSTOP)

        def thaw() -> None:
            for process in frozen:
                _send(process, signal.SIGCONT)

        return thaw

    def lose_head(self) -> None:
        """Kill the head's processes; the cluster is lost."""
        self._cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
        self._has_head = False

    def repair(self) -> None:
        """Bring back what was lost: a new head starts a new cluster."""
        if not self._has_head:
            self._stack.close()
            self._start()
        # A node that did not answer is lost to the cluster, and ends when it hears of that.
        whole = self._whole_nodes()
        for node in [each for each in self._cluster.worker_nodes if each not in whole]:
            self._remove(node)
        self._frozen = []
        while len(self._cluster.worker_nodes) < NUM_NODES:
            add_one_core_node(self._cluster, len(self._cluster.worker_nodes))

    def stop(self) -> None:
        """Stop the cluster."""
        self._stack.close()


class Monkey:
    """Breaks things while jobs run."""

    def __init__(
        self,
        machines: Machines,
        rng: random.Random,
        *,
        mean_interval_s: float,
        max_faults: int,
        proxy: FaultyProxy | None = None,
        disk: Path | None = None,
    ) -> None:
        """Begin a round.

        Args:
            machines: The cluster.
            rng: Draws faults and times.
            mean_interval_s: Mean time between two faults.
            max_faults: Most faults of the round.
            proxy: Proxy of the storage that the jobs use.
            disk: Disk that the jobs use, which can be filled.
        """
        self._machines, self._rng = machines, rng
        self._mean_interval_s, self._max_faults = mean_interval_s, max_faults
        self._proxy, self._disk = proxy, disk
        self._began = time.monotonic()
        self._next_s = self._draw_time(0.0)
        self._undos: list[tuple[float, Callable[[], None]]] = []
        self.faults: list[Fault] = []

    @property
    def seconds(self) -> float:
        """Time since the beginning of the round."""
        return time.monotonic() - self._began

    def _draw_time(self, after_s: float) -> float:
        return after_s + self._rng.expovariate(1 / self._mean_interval_s)

    def watch(self, process: "Popen[str]", job: str, attempt: int) -> None:
        """Break something if it is time, and end what has lasted long enough."""
        now = self.seconds
        for until_s, undo in self._undos:
            if now >= until_s:
                undo()
        self._undos = [each for each in self._undos if each[0] > now]
        if now < self._next_s or len(self.faults) >= self._max_faults:
            return
        name, inject = self._rng.choice(self._choices(process))
        lasts_s = self._rng.uniform(*_LASTS_S)
        self.faults.append(Fault(name, round(now, 1), job, attempt))
        end = inject()
        if end is not None:
            self._undos.append((now + lasts_s, end))
        self._next_s = self._draw_time(self.seconds)

    def calm(self) -> None:
        """End all faults and repair the cluster, as users do before they try again."""
        for _, undo in self._undos:
            undo()
        self._undos = []
        self._machines.repair()

    def _choices(
        self, process: "Popen[str]"
    ) -> list[tuple[str, Callable[[], Callable[[], None] | None]]]:
        def driver(number: signal.Signals) -> Callable[[], None]:
            return lambda: _send(process, number)

        machines, rng = self._machines, self._rng
        choices: list[tuple[str, Callable[[], Callable[[], None] | None]]] = [
            ("worker killed", self._kill_worker),
            ("driver killed", driver(signal.SIGKILL)),
            ("driver interrupted by Ctrl+C", driver(signal.SIGINT)),
            ("driver terminated by SIGTERM", driver(signal.SIGTERM)),
            ("head lost", machines.lose_head),
        ]
        if machines.can_spare_node:
            choices += [
                ("node lost", lambda: machines.lose_node(rng)),
                ("node does not answer", lambda: machines.freeze_node(rng)),
            ]
        if self._disk is not None:
            choices.append(("disk full", self._fill_disk))
        if self._proxy is not None:
            choices += [(f"storage {each}", self._fail_storage) for each in STORAGE_FAULTS]
        return choices

    def _kill_worker(self) -> None:
        workers = self._machines.workers()
        busy = [each for each in workers if not _title(each).startswith(_IDLE)]
        if busy or workers:
            _send(self._rng.choice(busy or workers), signal.SIGKILL)

    def _fill_disk(self) -> Callable[[], None]:
        assert self._disk is not None
        filler = fill(self._disk)
        return lambda: filler.unlink(missing_ok=True)

    def _fail_storage(self) -> Callable[[], None]:
        proxy = self._proxy
        assert proxy is not None
        name = self.faults[-1].name.removeprefix("storage ")
        proxy.fault = next(each for each in STORAGE_FAULTS if each == name)

        def mend() -> None:
            proxy.fault = None

        return mend


def _children(node: "Node") -> list[psutil.Process]:
    """Return the worker processes of a node."""
    with suppress(psutil.Error, KeyError, IndexError):
        raylet = node.all_processes["raylet"][0].process.pid
        return psutil.Process(raylet).children()
    return []


def _title(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _send(process: "psutil.Process | Popen[str]", number: signal.Signals) -> None:
    with suppress(psutil.Error, ProcessLookupError):
        process.send_signal(number)
