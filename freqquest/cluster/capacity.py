"""What the cluster has, now and with the nodes that an autoscaler may add, and what share of it a piece of work gets.

Light to import: Ray is loaded by the functions.
"""

import math
import os
from pathlib import Path
from typing import Any

from freqquest.cluster.requirements import Requirements
from freqquest.errors import UserError

_TRAINING_BYTES = 3 * 2**30
"""What one training of a classifier takes at most, beside the clips that all share."""

_LAUNCHER_CONFIG = Path("~/ray_bootstrap_config.yaml")
"""On the head node of a cluster that `ray up` started."""

_HEAD = "node:__internal_head__"
"""A resource that the head node alone has."""

_COUNTED = {"CPU": "cores", "GPU": "GPUs"}


def worker_resources(requirements: Requirements) -> dict[str, float]:
    """Resources of one worker, such that the cluster can run all of them side by side; where their number may change,
    as many as can be.

    Returns:
        Ray's resources for each worker; fewer cores than wanted where no more fit.

    Raises:
        UserError: The cluster lacks GPUs or cores; Ray itself would wait for them forever.
    """
    nodes, is_limited = _nodes()
    use_gpu, num_workers = requirements.use_gpu, requirements.num_workers
    num_gpus, num_cpus = (int(sum(node.get(name, 0) for node in nodes)) for name in ("GPU", "CPU"))
    largest = int(max(node.get("CPU", 0) for node in nodes))
    for wanted in (requirements.most_workers or num_workers, num_workers):
        for cpus in range(min(requirements.cpus_per_worker or largest, largest), 0, -1):
            places = [
                min(node.get("CPU", 0) // cpus, node.get("GPU", 0) if use_gpu else math.inf)
                for node in nodes
            ]
            if sum(places) >= wanted:
                return {"CPU": cpus, "GPU": int(use_gpu)}
    if not is_limited:  # an autoscaler will bring what it may
        return {"CPU": requirements.cpus_per_worker or 1, "GPU": int(use_gpu)}
    if use_gpu and num_gpus < num_workers:
        raise UserError(
            f"--use-gpu with {num_workers} worker(s) needs {num_workers} GPU(s), the cluster has {num_gpus}: "
            "leave out --use-gpu, or ask for fewer workers"
        )
    raise UserError(
        f"{num_workers} workers need a CPU core each, the cluster has {num_cpus}: ask for fewer workers"
    )


def describe() -> str:
    """The cluster's nodes, now and at most, for people."""
    import ray

    now = _nodes_now()
    nodes, is_limited = _nodes()
    text = f"{len(now)} node(s): {_count(now)}"
    free = ray.available_resources()
    busy = {key: sum(node.get(key, 0) for node in now) - free.get(key, 0) for key in _COUNTED}
    if max(busy.values()) >= 0.5:  # what rounds to one
        text += f" (busy now: {_count([busy])})"
    if not is_limited:
        return f"{text}; more by Kubernetes, which alone knows how many"
    return f"{text}; with nodes yet to come {_count(nodes)}" if len(nodes) > len(now) else text


def _count(nodes: list[dict[str, float]]) -> str:
    return ", ".join(
        f"{sum(node.get(key, 0) for node in nodes):.0f} {name}" for key, name in _COUNTED.items()
    )


def _nodes_now() -> list[dict[str, float]]:
    """Resources of every node that there is."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _nodes() -> tuple[list[dict[str, float]], bool]:
    """Resources of every node that there is or, with an autoscaler, can be; and whether there can be no others."""
    nodes = _nodes_now()
    launched = _LAUNCHER_CONFIG.expanduser()
    if launched.exists():
        import yaml  # Ray brings it

        return _with_launched(nodes, yaml.safe_load(launched.read_text())), True
    # KubeRay's operator starts a head without Ray's own monitor where its autoscaler runs beside it.
    return nodes, "--no-monitor" not in os.environ.get("KUBERAY_GEN_RAY_START_CMD", "")


def _with_launched(nodes: list[dict[str, float]], config: dict[str, Any]) -> list[dict[str, float]]:
    """As many nodes of each kind as `ray up` may start, and those that are there and of no such kind."""
    kinds = [
        kind
        for name, kind in config["available_node_types"].items()
        if name != config["head_node_type"]
    ]

    def is_of(kind: dict[str, Any], node: dict[str, float]) -> bool:
        return all(node.get(name, 0) == kind.get("resources", {}).get(name, 0) for name in _COUNTED)

    possible = [
        kind.get("resources", {})
        for kind in kinds
        for _ in range(min(kind["max_workers"], config["max_workers"]))
    ]
    return [
        node for node in nodes if _HEAD in node or not any(is_of(kind, node) for kind in kinds)
    ] + possible


def num_cores() -> float:
    """Of the cluster; with an autoscaler, of all nodes that there can be; infinite where nobody knows."""
    nodes, is_limited = _nodes()
    return sum(node.get("CPU", 0) for node in nodes) if is_limited else math.inf


def num_addable_trials(resources: dict[str, float], most: int) -> int:
    """How many trainings of such resources will find room on nodes that an autoscaler may add; `most` where nobody
    knows.
    """

    def places(nodes: list[dict[str, float]]) -> int:
        wanted = {name: resources[name] for name in _COUNTED if resources[name]}
        return int(
            sum(
                min(node.get(name, 0) // amount for name, amount in wanted.items())
                for node in nodes
            )
        )

    nodes, is_limited = _nodes()
    return min(most, places(nodes) - places(_nodes_now())) if is_limited else most


def can_replace_nodes() -> bool:
    """Whether what a lost node did can go on elsewhere."""
    nodes, is_limited = _nodes()
    return len(nodes) > 1 or not is_limited


def trial_resources(
    num_tasks: int, *, cpus_each: int | None, use_gpu: bool, sharing_gpu: int = 1
) -> dict[str, float]:
    """Resources of each of several trainings that need not run all at once.

    Args:
        num_tasks: How many there are.
        cpus_each: CPU cores of each; None shares the cluster's cores out among them.
        use_gpu: Whether they train on GPUs.
        sharing_gpu: How many of them share one.

    Returns:
        Ray's resources for each; memory among them, so that no more run on a node than it can hold.

    Raises:
        UserError: There is no GPU.
    """
    all_nodes, _ = _nodes()
    nodes = [
        node for node in all_nodes if node.get("CPU") and bool(node.get("GPU")) == use_gpu
    ] or all_nodes
    at_once = (
        min(num_tasks, int(sum(node.get("GPU", 0) for node in nodes)) * sharing_gpu)
        if use_gpu
        else num_tasks
    )
    largest = max(int(node.get("CPU", 0)) for node in nodes)
    cores = largest // max(1, math.ceil(at_once / len(nodes)))
    resources = worker_resources(
        Requirements(cpus_per_worker=cpus_each or max(1, cores), use_gpu=use_gpu)
    )
    memory = max(node.get("memory", 0) for node in all_nodes)
    return resources | {
        "GPU": resources["GPU"] / sharing_gpu,
        "memory": min(_TRAINING_BYTES, memory),
    }
