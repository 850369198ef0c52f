"""Settings of the scaling benchmark. Light to import."""

from dataclasses import dataclass

from freqquest.benchmark.base_config import BenchmarkConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleBenchmark(BenchmarkConfig):
    """Time preprocessing on one, two, and three one-core nodes, and estimate a large cluster."""

    audio_dir: str | None = None
    """Local folder with one folder of clips per class. By default, demo clips are made."""

    num_nodes: tuple[int, ...] = (1, 2, 3)
    """Numbers of one-core nodes, besides a head that runs no tasks. If there are more nodes than
    cores, they share cores and add little speed."""

    num_clips: tuple[int, int] = (500, 4_000)
    """Clips of a short and a long run. Their difference gives the speed, the rest is startup."""

    num_runs: int = 3
    """Runs of each combination, interleaved. The median counts."""

    cluster_nodes: int = 4
    """CPU nodes of the estimated cluster. The default is that of cluster.yaml."""

    cores_per_node: int = 16
    """Cores per node of the estimated cluster."""

    node_start_s: float = 300.0
    """Startup time of a node that the autoscaler adds. Assumed, not measured."""

    work_dir: str = "results/benchmarks/work"
    """Folder for intermediate files, about 1 GB for 4,000 clips. Deleted at the end."""

    output: str = "results/benchmarks/scale.json"
    """JSON file for the measurements. A table is written beside it."""

    def __post_init__(self) -> None:
        self.require_positive(
            "num_nodes", "num_clips", "num_runs", "cluster_nodes", "cores_per_node"
        )
        few, many = self.num_clips
        if few >= many:
            raise ValueError(f"`num_clips={few} {many}` must name the smaller number first")
        if 1 not in self.num_nodes:
            nodes = " ".join(map(str, self.num_nodes))
            raise ValueError(f"`num_nodes={nodes}` must include 1, the baseline of the others")
        self.require_json_output()
