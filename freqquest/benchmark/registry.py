"""Every benchmark by name: its settings, its function, and whether it runs on Ray.

Light to import: a benchmark's module, and its frameworks, are loaded when it runs.
"""

import os
from dataclasses import dataclass
from importlib import import_module

from freqquest.benchmark.base_config import BenchmarkConfig
from freqquest.benchmark.cgan_config import CganBenchmark
from freqquest.benchmark.chaos_config import ChaosBenchmark
from freqquest.benchmark.cnn_config import CnnBenchmark
from freqquest.benchmark.detect_config import DetectBenchmark
from freqquest.benchmark.events_config import EventsBenchmark
from freqquest.benchmark.export_config import ExportBenchmark
from freqquest.benchmark.extra_config import ExtraBenchmark
from freqquest.benchmark.few_clips_config import FewClipsBenchmark
from freqquest.benchmark.generators_config import GeneratorsBenchmark
from freqquest.benchmark.inversion_config import InversionBenchmark
from freqquest.benchmark.many_clips_config import ManyClipsBenchmark
from freqquest.benchmark.preprocess_config import PreprocessBenchmark
from freqquest.benchmark.scale_config import ScaleBenchmark
from freqquest.benchmark.serve_config import ServeBenchmark
from freqquest.benchmark.start_config import StartBenchmark
from freqquest.benchmark.tune_config import TuneBenchmark
from freqquest.benchmark.unknown_config import UnknownBenchmark
from freqquest.cluster.torch_environment import VARIABLES


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark:
    """A benchmark and its settings."""

    config_type: type[BenchmarkConfig]
    module: str
    function: str
    on_ray: bool = False
    """True if it needs a connection to Ray. The others start what they measure."""

    def run(self, config: BenchmarkConfig) -> str:
        """Run the benchmark, write its results, and return them as a table.

        Its processes run torch as a job's workers do.
        """
        for name, value in VARIABLES.items():
            os.environ.setdefault(name, value)
        table: str = getattr(import_module(self.module), self.function)(config)
        return table


def _benchmark(name: str, config_type: type[BenchmarkConfig], *, on_ray: bool = False) -> Benchmark:
    return Benchmark(
        config_type=config_type,
        module=f"freqquest.benchmark.{name}",
        function=f"benchmark_{name}",
        on_ray=on_ray,
    )


BENCHMARKS = {
    "preprocess": _benchmark("preprocess", PreprocessBenchmark),
    "cnn": _benchmark("cnn", CnnBenchmark, on_ray=True),
    "extra": _benchmark("extra", ExtraBenchmark, on_ray=True),
    "few_clips": _benchmark("few_clips", FewClipsBenchmark, on_ray=True),
    "unknown": _benchmark("unknown", UnknownBenchmark, on_ray=True),
    "tune": _benchmark("tune", TuneBenchmark, on_ray=True),
    "detect": _benchmark("detect", DetectBenchmark),
    "events": _benchmark("events", EventsBenchmark, on_ray=True),
    "inversion": _benchmark("inversion", InversionBenchmark),
    "cgan": _benchmark("cgan", CganBenchmark),
    "generators": _benchmark("generators", GeneratorsBenchmark, on_ray=True),
    "export": _benchmark("export", ExportBenchmark),
    "serve": _benchmark("serve", ServeBenchmark),
    "scale": _benchmark("scale", ScaleBenchmark),
    "start": _benchmark("start", StartBenchmark),
    "many_clips": _benchmark("many_clips", ManyClipsBenchmark),
    "chaos": _benchmark("chaos", ChaosBenchmark),
}
