"""Settings of the benchmarks. Light to import: `--help` reads it."""

import posixpath
from dataclasses import dataclass

from freqquest.cluster.requirements import Requirements

_READS = ("dataset_dir", "audio_dir", "extra_clips")


class _Benchmark:
    """What the benchmarks' settings have in common."""

    __slots__ = ()

    @property
    def requirements(self) -> Requirements:
        """What is asked of the cluster."""
        reads = {name: getattr(self, name, None) for name in _READS}
        return Requirements(
            reads=reads, writes={"output": posixpath.dirname(self.output) or "."}
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessBenchmark(_Benchmark):
    """Preprocessing against the published recipes' loop, and against the machine's limit."""

    audio_dir: str | None = None
    """Folder with one folder of clips for each class, on this machine; without it, demo clips are made."""

    work_dir: str = "results/benchmark"
    """Folder for what is made on the way (some 4 GB with 20,000 clips); emptied at the end."""

    output: str = "results/benchmarks/preprocess.json"
    """Figures; a table of them goes beside it, ending in .md."""

    num_clips: int = 10_000
    """Clips of a timed run: those of the folder, linked several times over."""

    num_naive_clips: int = 1_000
    """Clips of a timed run of the recipes' loop, which keeps all in memory."""

    memory_clips: tuple[int, ...] = (1_000, 20_000)
    """Numbers of clips at which the peak memory of each process is taken."""

    num_runs: int = 3
    """Runs of each thing timed, in turn; the median counts."""

    def __post_init__(self) -> None:
        if min(self.num_clips, self.num_naive_clips, self.num_runs, *self.memory_clips) < 1:
            raise ValueError(
                "num_clips, num_naive_clips, memory_clips and num_runs must be 1 or more"
            )
        _require_json(self.output)


@dataclass(frozen=True, kw_only=True, slots=True)
class CnnBenchmark(_Benchmark):
    """The classifier's presets against each other, on folds of recordings that neither has heard."""

    dataset_dir: str
    """Dataset with folds, made by jobs/preprocess.py --metadata."""

    folds: tuple[str, ...] = ()
    """Folds (in a dataset without any: recordings) to test on, each time trained on all others; by default all."""

    num_seeds: int = 3
    """Trainings of each preset for each fold."""

    max_epochs: int | None = None
    """Longest training, in epochs; by default each preset's own number."""

    output: str = "results/benchmarks/cnn.json"
    """Figures; a table of them and pictures go beside it."""

    def __post_init__(self) -> None:
        if min(self.num_seeds, self.max_epochs or 1) < 1:
            raise ValueError("num_seeds and max_epochs must be 1 or more")
        _require_json(self.output)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtraBenchmark(_Benchmark):
    """The classifier trained without and with extra clips, on recordings that neither has heard."""

    dataset_dir: str
    """Dataset made by jobs/preprocess.py: its training split to learn from, its validation split to test on."""

    extra_clips: str
    """Folder of clips to train on too, as for jobs/tune_cnn.py. A generator of them must have learned from nothing but
    this dataset's training split, or the figures flatter it."""

    num_seeds: int = 3
    """Trainings of each kind."""

    max_epochs: int | None = None
    """Longest training, in epochs; by default the preset's own number."""

    output: str = "results/benchmarks/extra.json"
    """Figures; a table of them goes beside it."""

    def __post_init__(self) -> None:
        if min(self.num_seeds, self.max_epochs or 1) < 1:
            raise ValueError("num_seeds and max_epochs must be 1 or more")
        _require_json(self.output)


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneBenchmark(_Benchmark):
    """What share of a search's core time is not spent on training."""

    dataset_dir: str
    """Dataset made by jobs/preprocess.py."""

    num_trials: int = 16
    """Trials of the search."""

    max_epochs: int = 3
    """Longest training of each, in epochs; some are ended earlier."""

    work_dir: str = "results/benchmark"
    """Run folder of the search; emptied at the end."""

    output: str = "results/benchmarks/tune.json"
    """Figures; a table of them goes beside it."""

    def __post_init__(self) -> None:
        if min(self.num_trials, self.max_epochs) < 1:
            raise ValueError("num_trials and max_epochs must be 1 or more")
        _require_json(self.output)


@dataclass(frozen=True, kw_only=True, slots=True)
class InversionBenchmark(_Benchmark):
    """How near the sound of a spectrogram comes to the clip that the spectrogram was made from."""

    audio_dir: str | None = None
    """Folder with one folder of clips for each class, on this machine; without it, demo clips are made."""

    clips_per_class: int = 8
    """Clips of each class, drawn at random."""

    work_dir: str = "results/benchmark"
    """Folder for the demo clips; emptied at the end."""

    output: str = "results/benchmarks/inversion.json"
    """Figures; a table of them goes beside it."""

    def __post_init__(self) -> None:
        if self.clips_per_class < 1:
            raise ValueError(f"clips_per_class={self.clips_per_class} must be 1 or more")
        _require_json(self.output)


@dataclass(frozen=True, kw_only=True, slots=True)
class CganBenchmark(_Benchmark):
    """Training steps of the generator against the recipe's plain loop, and against the networks' bare arithmetic."""

    dataset_dir: str
    """Dataset made by jobs/preprocess.py; the recipe's loop reads the audio files that it names, on this machine."""

    num_steps: int = 16
    """Steps of a timed run: a multiple of eight has its fair share of R1 penalties."""

    num_runs: int = 3
    """Runs of each thing timed, in turn; the medians of ratios within a turn count."""

    num_agreement_steps: int = 30
    """Steps that the recipe's loop and ours take from the same weights on the same clips, to compare the losses."""

    use_gpu: bool = False
    """Measure on a GPU."""

    output: str = "results/benchmarks/cgan.json"
    """Figures; a table of them goes beside it."""

    def __post_init__(self) -> None:
        if min(self.num_steps, self.num_runs, self.num_agreement_steps) < 1:
            raise ValueError("num_steps, num_runs and num_agreement_steps must be 1 or more")
        _require_json(self.output)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleBenchmark(_Benchmark):
    """Preprocessing on one, two and three one-core nodes of this machine, and what a large cluster would need."""

    audio_dir: str | None = None
    """Folder with one folder of clips for each class, on this machine; without it, demo clips are made."""

    num_nodes: tuple[int, ...] = (1, 2, 3)
    """Numbers of nodes, of one core each, beside a head that runs no work. More than this machine has cores share
    them, and gain nothing."""

    num_clips: tuple[int, int] = (500, 4_000)
    """Clips of a short and of a long run: their difference gives the speed, what is left is the start."""

    num_runs: int = 3
    """Runs of each, in turn; the median counts."""

    cluster_nodes: int = 4
    """CPU nodes of the cluster to be reckoned for: those of cluster.yaml."""

    cores_per_node: int = 16
    """Cores of each of them."""

    node_start_s: float = 300.0
    """Time until a node that the autoscaler starts can work: assumed, not measured."""

    work_dir: str = "results/benchmark"
    """Folder for what is made on the way (1 GB with 4,000 clips); emptied at the end."""

    output: str = "results/benchmarks/scale.json"
    """Figures; a table of them goes beside it."""

    def __post_init__(self) -> None:
        few, many = self.num_clips
        if min(self.num_runs, few, self.cluster_nodes, self.cores_per_node, *self.num_nodes) < 1:
            raise ValueError(
                "num_nodes, num_clips, num_runs, cluster_nodes and cores_per_node must be 1 or more"
            )
        if few >= many:
            raise ValueError(f"num_clips={few} {many} must name the fewer first")
        if 1 not in self.num_nodes:
            raise ValueError("num_nodes must include 1, which the others are compared with")
        _require_json(self.output)


def _require_json(output: str) -> None:
    if not output.endswith(".json"):
        raise ValueError(f"output={output} must end in .json")
