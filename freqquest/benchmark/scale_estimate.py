"""Estimate of the cost of very many clips on a large cluster, from measurements on one core."""

from dataclasses import dataclass

from freqquest.audio.spectrogram import CNN_VIEW
from freqquest.benchmark.scale_config import ScaleBenchmark

NUM_CLIPS = (10**6, 10**8)
"""Numbers of clips that costs are estimated for."""

_SEARCH_BYTES = CNN_VIEW.num_mels * CNN_VIEW.num_frames * 2
"""Memory of one clip in a search, which holds all clips: `[M, T]`, float16."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitCosts:
    """Measurements that the estimate is based on."""

    clips_per_s: float
    """Speed of one core."""
    start_s: float
    """Time before the first clip and after the last one."""
    audio_bytes: float
    """Size of one clip's audio file."""
    dataset_bytes: float
    """Size of one clip in the dataset."""


def estimate(config: ScaleBenchmark, costs: UnitCosts) -> dict[str, dict[str, float]]:
    """Return the costs by number of clips."""
    return {
        str(count): {
            **estimate_hours(config, costs, count),
            "audio_tb": count * costs.audio_bytes / 1e12,
            "dataset_tb": count * costs.dataset_bytes / 1e12,
            "search_memory_gb": count * _SEARCH_BYTES / 1e9,
        }
        for count in NUM_CLIPS
    }


def estimate_hours(config: ScaleBenchmark, costs: UnitCosts, count: int) -> dict[str, float]:
    """Return the hours of the cluster, and the sum of the hours of its nodes.

    Nodes start in steps, because Ray Data asks for twice as many as are at work.
    """
    node_clips_per_s = costs.clips_per_s * config.cores_per_node
    nodes, seconds, node_seconds, left = 0, costs.start_s, 0.0, float(count)
    while nodes < config.cluster_nodes and left > (
        done_meanwhile := nodes * node_clips_per_s * config.node_start_s
    ):
        left -= done_meanwhile
        nodes = min(max(1, 2 * nodes), config.cluster_nodes)
        seconds += config.node_start_s
        node_seconds += nodes * config.node_start_s
    rest_s = left / node_clips_per_s
    return {
        "hours": (seconds + rest_s / nodes) / 3600,
        "node_hours": (node_seconds + rest_s) / 3600,
    }


def estimate_rows(config: ScaleBenchmark, costs: UnitCosts) -> list[tuple[str, ...]]:
    """Return the estimate as the rows of a table."""
    rows: list[tuple[str, ...]] = []
    for count, cost in estimate(config, costs).items():
        clips = f"{int(count) // 10**6} M clips"
        cluster = f"{config.cluster_nodes} nodes of {config.cores_per_node} cores"
        rows += [
            (
                f"{clips}, preprocessing",
                f"{cost['hours']:.2g} h",
                f"on {cluster}: {cost['node_hours']:.2g} node-hours",
            ),
            (
                f"{clips}, storage",
                f"{cost['audio_tb']:.1f} + {cost['dataset_tb']:.1f} TB",
                "audio + dataset",
            ),
            (
                f"{clips}, a search",
                f"{cost['search_memory_gb']:.0f} GB",
                "memory of each node with trials, which holds all clips",
            ),
        ]
    return rows
