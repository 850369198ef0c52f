"""Benchmark of exports: a classifier in every format, beside the original. No Ray."""

import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path

from freqquest.benchmark.export_config import ExportBenchmark
from freqquest.benchmark.result import BenchmarkResult
from freqquest.export.agreement import ExportReport, Measurement
from freqquest.export.config import ExportConfig, Format
from freqquest.export.export import export_model
from freqquest.storage import locate

_EXPORTS: list[tuple[Format, bool]] = [
    ("onnx", False),
    ("litert", False),
    ("litert", True),
    ("saved_model", False),
]
"""Formats, and whether the network computes in 8 bits."""


def benchmark_export(config: ExportBenchmark) -> str:
    """Export to each format, write the results, and return them as a table.

    Raises:
        UserError: The model or the dataset cannot be used, or an export disagrees.
    """
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (kind, int8) in enumerate(_EXPORTS):
            wanted = ExportConfig(
                model=config.model,
                format=kind,
                output=str(Path(folder) / str(number)),
                dataset_dir=config.dataset_dir,
                int8=int8,
            )
            reports.append(export_model(wanted))
    first = reports[0]
    original_ms = statistics.median(each.measurements[0].ms_per_clip for each in reports)
    original = f"{original_ms:.1f}", "", "", _score(first.measurements[0])
    return BenchmarkResult(
        name="export",
        settings={},
        about=f"a classifier on {first.clips}, from waveform to probabilities, one clip at a time, "
        "median processor time; the difference is the largest of any probability",
        measurements={"reports": [asdict(each) for each in reports]},
        header=("model", "MB", "ms a clip", "difference", "same answers", first.score_title),
        rows=[(first.names[0], _megabytes(first, 0), *original), *map(_row, reports)],
    ).write(locate(config.output))


def _row(report: ExportReport) -> tuple[str, ...]:
    exported = report.measurements[1]
    return (
        report.names[1],
        _megabytes(report, 1),
        f"{exported.ms_per_clip:.1f}",
        f"{exported.largest_difference:.1e}",
        f"{exported.equal_answers:.1%}",
        _score(exported),
    )


def _megabytes(report: ExportReport, position: int) -> str:
    return f"{report.num_bytes[position] / 1e6:.2f}"


def _score(measured: Measurement) -> str:
    return "" if measured.score is None else f"{measured.score:.3f}"
