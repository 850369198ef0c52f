"""The jobs: each parses its settings, calls one function, and prints where the results are.

`freqquest <job>`, `python -m freqquest <job>` and the job's file in a checkout run the same code.
Light to import: settings and stages are loaded by the job that needs them.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from freqquest import cli, help_layout
from freqquest.cluster import preflight
from freqquest.terminal import tolerant_output

if TYPE_CHECKING:
    from freqquest.benchmark.base_config import BenchmarkConfig
    from freqquest.benchmark.registry import Benchmark
    from freqquest.cgan.config import TrainConfig
    from freqquest.cgan.generate_config import GenerateConfig
    from freqquest.cnn.predict_config import PredictConfig
    from freqquest.cnn.tune_config import TuneConfig
    from freqquest.dataset.config import PreprocessConfig
    from freqquest.detection.config import DetectConfig
    from freqquest.export.config import ExportConfig
    from freqquest.pipeline_config import PipelineConfig
    from freqquest.runs.tensorboard_server import WatchConfig
    from freqquest.serving.config import ServeConfig


def preprocess(config: "PreprocessConfig") -> None:
    """Turn a folder of labeled clips into a sharded spectrogram dataset (Ray Data)."""
    from freqquest.dataset.summary import summarize
    from freqquest.dataset.verify import verify_dataset
    from freqquest.dataset.write import write_dataset

    if config.verify:
        print(verify_dataset(config.dataset_dir))
    else:
        summary = summarize(write_dataset(config), config.dataset_dir)
        print(cli.with_flags(summary, config.__dataclass_fields__))


def tune_cnn(config: "TuneConfig") -> None:
    """Search for the classifier that is best on unseen recordings (Ray Tune, Keras)."""
    from freqquest import stages

    stages.tune(config)
    _print_summary(config.run_dir)


def predict(config: "PredictConfig") -> None:
    """Classify a folder of clips into a submission (Ray Data)."""
    from freqquest.cnn.predict import check_request, predict_submission

    requested = check_request(config)
    preflight.connect(config.requirements)
    predictions = predict_submission(config, requested)
    unreadable = int((predictions["reason"] != "").sum())
    if unreadable:
        print(f"{unreadable} clip(s) could not be read: see {config.output}.unreadable.csv")
    if config.unknown:
        from freqquest.cnn.abstention import UNKNOWN

        num_unknown = int((predictions["Class"] == UNKNOWN).sum())
        print(f"unknown: {num_unknown} of {len(predictions)} clips")
    print(f"submission: {config.output} ({len(predictions)} rows)")


def detect(config: "DetectConfig") -> None:
    """Find the sounds in long recordings: where each begins and ends (Ray Data)."""
    from freqquest.detection.detect import check_request, detect

    request = check_request(config)
    preflight.connect(config.requirements)
    detections = detect(config, request)
    unreadable = sum(bool(recording.reason) for recording in detections.recordings)
    if unreadable:
        print(f"{unreadable} recording(s) could not be read: see {config.output}.unreadable.csv")
    print(detections.summary)
    print(f"events: {config.output}")
    if config.report is not None:
        print(f"report: {config.report}")
    if config.picture_dir is not None:
        print(f"pictures: {config.picture_dir}")


def train_cgan(config: "TrainConfig") -> None:
    """Train a generator of new clips of each class of a dataset (Ray Train, PyTorch)."""
    from freqquest import stages

    stages.train_generator(config)
    _print_summary(config.run_dir)


def generate(config: "GenerateConfig") -> None:
    """Generate new clips of a class with a trained generator."""
    from freqquest.cgan.generate import check_request
    from freqquest.pipeline import generate_with_judge

    check_request(config)
    preflight.connect(config.requirements)
    generation = generate_with_judge(config)
    clips = generation.clips
    if generation.num_recognized is not None:
        print(
            f"chosen among {generation.num_candidates} candidates, of which the judge recognizes "
            f"{generation.num_recognized}: see {config.candidates_name}"
        )
    print(f"{len(clips)} clips in {config.output_dir}, the first is {clips[0].name}")


def export(config: "ExportConfig") -> None:
    """Convert a classifier or a generator for other runtimes: ONNX, LiteRT, TensorFlow.

    A classifier then takes waveforms of its own sample rate and length; its caller resamples them.
    """
    from freqquest.export.export import export_model

    print(f"converting {config.model} (up to a minute)", file=sys.stderr)
    print(export_model(config))
    print(f"exported: {config.output}")


def pipeline(config: "PipelineConfig") -> None:
    """Run every stage: dataset, classifier, submission, generator, new clips, report.

    Without a folder of clips, run on demo clips.
    """
    from freqquest import stages

    print(stages.run_pipeline(config))


def serve(config: "ServeConfig") -> None:
    """Classify sounds, and find events in them, over HTTP (Ray Serve)."""
    from freqquest.serving.serve import check_request, serve

    request = check_request(config)
    print("starting (up to half a minute)", file=sys.stderr)
    preflight.connect(config.requirements)
    serve(config, request)


def watch(config: "WatchConfig") -> None:
    """Open TensorBoard on a run's logs; logs in remote storage are copied as they grow."""
    from freqquest.runs.tensorboard_server import watch

    watch(config)


def _print_summary(run_dir: str) -> None:
    from freqquest.runs.report import summarize

    print(summarize(run_dir))


@dataclass(frozen=True, slots=True)
class Job:
    """One job of the command line."""

    config: str
    """Settings class, as `module:name`."""

    run: Callable[..., None]
    """Function that does the job, given its settings. Its docstring describes it in `--help`."""

    def config_type(self) -> type[cli.JobConfig]:
        """Return the settings class."""
        module, _, name = self.config.partition(":")
        config_type: type[cli.JobConfig] = getattr(import_module(module), name)
        return config_type


JOBS = {
    "preprocess": Job("freqquest.dataset.config:PreprocessConfig", preprocess),
    "tune_cnn": Job("freqquest.cnn.tune_config:TuneConfig", tune_cnn),
    "predict": Job("freqquest.cnn.predict_config:PredictConfig", predict),
    "detect": Job("freqquest.detection.config:DetectConfig", detect),
    "train_cgan": Job("freqquest.cgan.config:TrainConfig", train_cgan),
    "generate": Job("freqquest.cgan.generate_config:GenerateConfig", generate),
    "export": Job("freqquest.export.config:ExportConfig", export),
    "pipeline": Job("freqquest.pipeline_config:PipelineConfig", pipeline),
    "serve": Job("freqquest.serving.config:ServeConfig", serve),
    "watch": Job("freqquest.runs.tensorboard_server:WatchConfig", watch),
}
"""All jobs but `benchmark`, whose first argument names a benchmark."""

_BENCHMARK_SUMMARY = "Measure freqquest against the published recipes, and against its limits."


def summaries() -> dict[str, str]:
    """Return the summary of each job."""
    jobs = {name: _first_line(job.run.__doc__) for name, job in JOBS.items()}
    return jobs | {"benchmark": _BENCHMARK_SUMMARY}


def run_job(name: str, arguments: Sequence[str], prog: str) -> None:
    """Run a job, given its name and its command line.

    Args:
        name: Name of the job, one of `summaries()`.
        arguments: Command line after the job's name.
        prog: Command that started the job, for `--help`.
    """
    config, run = parse_job(name, arguments, prog)
    with cli.report_errors(type(config)):
        # `ray job stop` then ends a job as Ctrl+C does.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        run(config)


def run_file(name: str) -> None:
    """Run a job that was started as a file of that name."""
    with tolerant_output():
        run_job(name, sys.argv[1:], f"python {sys.argv[0]}")


def parse_job(
    name: str, arguments: Sequence[str], prog: str = "freqquest"
) -> tuple[cli.JobConfig, Callable[..., None]]:
    """Return the settings of a job, from its command line, and the function that does it."""
    if name == "benchmark":
        return _parse_benchmark(arguments, prog)
    job = JOBS[name]
    description, examples = job.run.__doc__ or "", help_layout.EXAMPLES[name]
    config = cli.parse(
        job.config_type(), arguments, prog=prog, description=description, examples=examples
    )
    return config, job.run


def _parse_benchmark(
    arguments: Sequence[str], prog: str
) -> tuple[cli.JobConfig, Callable[..., None]]:
    from freqquest.benchmark.registry import BENCHMARKS

    summaries = {name: _first_line(entry.config_type.__doc__) for name, entry in BENCHMARKS.items()}
    name = cli.choose(
        arguments, summaries, prog=prog, kind="benchmark", description=_BENCHMARK_SUMMARY
    )
    benchmark = BENCHMARKS[name]
    config = cli.parse(
        benchmark.config_type,
        arguments[1:],
        prog=f"{prog} {name}",
        description=benchmark.config_type.__doc__ or "",
        examples=help_layout.EXAMPLES[f"benchmark {name}"],
    )
    return config, partial(_run_benchmark, benchmark)


def _run_benchmark(benchmark: "Benchmark", config: "BenchmarkConfig") -> None:
    config.require_new_output()
    if benchmark.on_ray:
        preflight.connect(config.requirements)
    print(benchmark.run(config))
    print(f"results: {config.output}")


def _first_line(doc: str | None) -> str:
    return (doc or "").partition("\n")[0]
