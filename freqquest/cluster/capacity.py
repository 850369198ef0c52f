"""Resources of the cluster, now and with the nodes that an autoscaler may add, and their shares.

Light to import: Ray is loaded by the functions.
"""

import math
from typing import NamedTuple, TypedDict

from freqquest.cluster import ray_internals
from freqquest.cluster.requirements import Requirements
from freqquest.errors import UserError

_TRAINING_BYTES = 3 * 2**30
"""Memory of one training of a classifier at most, beside the clips that all trainings share."""

_COUNTED = {"CPU": "cores", "GPU": "GPUs"}

Resources = dict[str, float]
"""Resources of a node, or those reserved for a task, under Ray's names."""


class _NodeType(TypedDict):
    resources: Resources
    max_workers: int


class _LauncherConfig(TypedDict):
    available_node_types: dict[str, _NodeType]
    head_node_type: str
    max_workers: int


class _Nodes(NamedTuple):
    """Nodes of the cluster, with those that an autoscaler may add."""

    resources: list[Resources]
    is_complete: bool
    """False where Kubernetes may add others, of which Ray knows nothing."""


def worker_resources(requirements: Requirements) -> Resources:
    """Return one worker's resources, such that all workers can run side by side.

    If the number of workers may change, as many as possible can run.

    Returns:
        Ray's resources for each worker, with fewer cores than wanted if no more fit.

    Raises:
        UserError: The cluster lacks GPUs or cores; Ray itself would wait for them forever.
    """
    nodes, is_complete = _possible_nodes()
    use_gpu, num_workers = requirements.use_gpu, requirements.num_workers
    largest = int(max(node.get("CPU", 0) for node in nodes))
    for wanted in (requirements.max_workers or num_workers, num_workers):
        for cpus in range(min(requirements.cpus_per_worker or largest, largest), 0, -1):
            if sum(_num_workers_on(node, cpus, use_gpu) for node in nodes) >= wanted:
                return {"CPU": cpus, "GPU": int(use_gpu)}
    if not is_complete:  # the autoscaler will bring what it may
        return {"CPU": requirements.cpus_per_worker or 1, "GPU": int(use_gpu)}
    num_gpus, num_cpus = (int(sum(node.get(name, 0) for node in nodes)) for name in ("GPU", "CPU"))
    if use_gpu and num_gpus < num_workers:
        raise UserError(
            f"`use_gpu` with {num_workers} worker(s) needs {num_workers} GPU(s), the cluster has "
            f"{num_gpus}: leave out `use_gpu`, or ask for fewer workers"
        )
    raise UserError(
        f"{num_workers} workers need a CPU core each, the cluster has {num_cpus}: "
        "ask for fewer workers"
    )


def _num_workers_on(node: Resources, cpus: int, use_gpu: bool) -> float:
    return min(node.get("CPU", 0) // cpus, node.get("GPU", 0) if use_gpu else math.inf)


def describe() -> str:
    """Return a text about the cluster's nodes, now and at most."""
    import ray

    now = _current_nodes()
    nodes, is_complete = _possible_nodes()
    text = f"{len(now)} node(s): {_count(now)}"
    free = ray.available_resources()
    busy = {key: sum(node.get(key, 0) for node in now) - free.get(key, 0) for key in _COUNTED}
    if max(busy.values()) >= 0.5:  # which rounds to one
        text += f" (busy now: {_count([busy])})"
    if not is_complete:
        return f"{text}; Kubernetes may add more, up to a limit that only it knows"
    return (
        f"{text}; with all nodes that may start, {_count(nodes)}" if len(nodes) > len(now) else text
    )


def _count(nodes: list[Resources]) -> str:
    return ", ".join(
        f"{sum(node.get(key, 0) for node in nodes):.0f} {name}" for key, name in _COUNTED.items()
    )


def _current_nodes() -> list[Resources]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _possible_nodes() -> _Nodes:
    """Return the nodes that exist or, with an autoscaler, can exist."""
    nodes = _current_nodes()
    launcher_config = ray_internals.launcher_config_file()
    if launcher_config is not None:
        import yaml  # a dependency of Ray

        return _Nodes(_with_launched(nodes, yaml.safe_load(launcher_config.read_text())), True)
    return _Nodes(nodes, not ray_internals.is_scaled_by_kuberay())


def _with_launched(nodes: list[Resources], config: _LauncherConfig) -> list[Resources]:
    """Return all nodes that `ray up` may start, and existing ones of none of its types."""
    node_types = [
        node_type
        for name, node_type in config["available_node_types"].items()
        if name != config["head_node_type"]
    ]
    possible = [
        node_type.get("resources", {})
        for node_type in node_types
        for _ in range(min(node_type["max_workers"], config["max_workers"]))
    ]
    others = [
        node
        for node in nodes
        if ray_internals.HEAD_NODE_RESOURCE in node
        or not any(_is_of_type(node, node_type) for node_type in node_types)
    ]
    return others + possible


def _is_of_type(node: Resources, node_type: _NodeType) -> bool:
    resources = node_type.get("resources", {})
    return all(node.get(name, 0) == resources.get(name, 0) for name in _COUNTED)


def num_cores() -> float:
    """Return the CPU cores of all possible nodes; infinity if their number is unknown."""
    nodes, is_complete = _possible_nodes()
    return sum(node.get("CPU", 0) for node in nodes) if is_complete else math.inf


def num_addable_trials(resources: Resources, limit: int) -> int:
    """Return how many trainings will fit on nodes that an autoscaler may add.

    Args:
        resources: Resources of one training.
        limit: Upper limit, and the answer where the cluster's size is unknown.
    """

    def num_fitting(nodes: list[Resources]) -> int:
        needed = {name: resources[name] for name in _COUNTED if resources[name]}
        fitting = [
            min(node.get(name, 0) // amount for name, amount in needed.items()) for node in nodes
        ]
        return int(sum(fitting))

    nodes, is_complete = _possible_nodes()
    if not is_complete:
        return limit
    return min(limit, num_fitting(nodes) - num_fitting(_current_nodes()))


def can_replace_nodes() -> bool:
    """Return whether other nodes can take over the work of a lost one."""
    nodes, is_complete = _possible_nodes()
    return len(nodes) > 1 or not is_complete


def max_restarts() -> int:
    """Return how often Ray may start an actor again: any number, or never on a single node.

    There, Ray would warn about it.
    """
    return -1 if can_replace_nodes() else 0


def trial_resources(
    num_tasks: int,
    *,
    cpus_each: int | None,
    use_gpu: bool,
    sharing_gpu: int = 1,
    held_bytes: int = 0,
) -> Resources:
    """Return the resources of each of several trainings that need not run all at once.

    Args:
        num_tasks: Number of trainings.
        cpus_each: CPU cores of each; None shares the cluster's cores among them.
        use_gpu: Whether they train on GPUs.
        sharing_gpu: Number of trainings that share one GPU.
        held_bytes: Bytes of clips that each holds for itself.

    Returns:
        Ray's resources for each, with memory, so that a node never runs more than it can hold.

    Raises:
        UserError: There is no GPU.
    """
    all_nodes, _ = _possible_nodes()
    nodes = [
        node for node in all_nodes if node.get("CPU") and bool(node.get("GPU")) == use_gpu
    ] or all_nodes
    at_once = num_tasks
    if use_gpu:
        at_once = min(num_tasks, int(sum(node.get("GPU", 0) for node in nodes)) * sharing_gpu)
    largest = max(int(node.get("CPU", 0)) for node in nodes)
    cores = largest // max(1, math.ceil(at_once / len(nodes)))
    resources = worker_resources(
        Requirements(cpus_per_worker=cpus_each or max(1, cores), use_gpu=use_gpu)
    )
    memory = max(node.get("memory", 0) for node in all_nodes)
    return resources | {
        "GPU": resources["GPU"] / sharing_gpu,
        "memory": min(_TRAINING_BYTES + held_bytes, memory),
    }
