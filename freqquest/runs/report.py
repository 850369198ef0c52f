"""The report: one HTML page and a closing summary, made from a run folder alone."""

import io
import json
import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pandas as pd

from freqquest import plots
from freqquest.runs import layout
from freqquest.runs.classifier_lines import class_table, classifier_lines
from freqquest.runs.folder import read_sections
from freqquest.runs.inline_files import inline_files
from freqquest.runs.metrics import (
    CLASSIFIER_TITLES,
    EvaluationMetrics,
    GeneratorMetrics,
    HardwareMetrics,
    JudgedMetrics,
    RunMetrics,
)
from freqquest.runs.page import render_page
from freqquest.runs.report_clips import LINK, Files, generated_pairs, held_out_clips
from freqquest.runs.tables import name_damaged
from freqquest.runs.tensorboard_server import tensorboard_command
from freqquest.storage import Location, locate

MAX_PAGE_BYTES = 10_000_000
"""Size of the page up to which pictures and sounds are in it."""

_PICTURE_NAME = re.compile(r"epoch_(\d+)\.png")

_DISTANCES = ("frechet", "kernel", "diversity")
"""The judge's metrics of generated clips, beside accuracy."""

_UNKNOWN = "not available"

_OUTPUTS = {
    "report": layout.REPORT_NAME,
    "classifier": layout.MODEL_NAME,
    "submission": layout.SUBMISSION_NAME,
    "generator": layout.GENERATOR_NAME,
    "generated clips": layout.GENERATED_DIR,
    "clips by epoch": layout.SAMPLES_DIR,
    "pictures": layout.SPECTROGRAMS_DIR,
    "TensorBoard logs": layout.TENSORBOARD_DIR,
}
"""Files and folders that the summary points to, if they exist."""


def write_report(run_dir: str, limit_bytes: int = MAX_PAGE_BYTES) -> None:
    """Write report.html and its plots; stages that have not finished are left out.

    Args:
        run_dir: The run folder.
        limit_bytes: Largest size of the page with pictures and sounds in it; it links the others.

    Raises:
        UserError: A table in the run folder is damaged.
    """
    run = locate(run_dir)
    sections = read_sections(run, layout.METRICS_NAME)
    metrics = cast(RunMetrics, sections)
    if "cgan" in metrics:
        _draw_generator_plots(run, metrics["cgan"])
    shown_epoch = _shown_epoch(run, metrics.get("cgan"))
    files: Files = {}
    page = render_page(
        "freqquest.runs",
        "report_template.html",
        layout=layout,
        titles=CLASSIFIER_TITLES,
        name=run.name,
        headlines=headlines(metrics),
        config=json.dumps(read_sections(run, layout.CONFIG_NAME), indent=1),
        machine=next((section["machine"] for section in sections.values()), ""),
        tensorboard=_tensorboard_command(run),
        shown_epoch=shown_epoch,
        sounds=_sounds(run, shown_epoch),
        hardware=_hardware_rows(metrics.get("cgan", {}).get("hardware")),
        has_dataset_plots=(run / layout.DATASET_DIR / layout.FIGURES_DIR).is_dir(),
        has_coverage=(run / layout.FIGURES_DIR / layout.COVERAGE_NAME).is_file(),
        has_importance=(run / layout.FIGURES_DIR / layout.IMPORTANCE_NAME).is_file(),
        pairs=generated_pairs(run, files),
        held_out=held_out_clips(run, "mean_average_precision" in metrics.get("cnn", {}), files),
        **{name: sections.get(name) for name in ("dataset", "cnn", "cgan", "generated")},
    )
    page, linked = inline_files(page, files, run, limit_bytes)
    with ThreadPoolExecutor() as threads:  # an object store takes long for each file
        list(threads.map(lambda link: (run / link).write_bytes(linked[link]), linked))
    (run / layout.REPORT_NAME).write_text(page)
    for file in (run / layout.REPORT_FILES_DIR).list_dir():
        link = f"{layout.REPORT_FILES_DIR}/{file.name}"
        if LINK.fullmatch(link) and link not in linked:  # of an earlier report
            file.remove_file()


def summarize(run_dir: str) -> str:
    """Return the closing summary: results, where they are, and how to look at them."""
    run = locate(run_dir)
    metrics = cast(RunMetrics, read_sections(run, layout.METRICS_NAME))
    lines = ["", *class_table(metrics), *headlines(metrics)]
    if "dataset" in metrics and (rejected := metrics["dataset"]["num_quarantined"]):
        table = run / layout.DATASET_DIR / layout.QUARANTINE_NAME
        lines.append(f"rejected clips: {rejected}, listed in {table}")
    outputs = {name: run / path for name, path in _OUTPUTS.items()}
    lines += ["", *(f"{name + ':':<18}{path}" for name, path in outputs.items() if path.exists())]
    lines.append(f"{'look at it:':<18}{_tensorboard_command(run)}")
    return "\n".join(lines)


def headlines(metrics: RunMetrics) -> list[str]:
    """Return the run's main results, each with the data it was measured on."""
    lines = classifier_lines(metrics["cnn"]) if "cnn" in metrics else []
    submission = metrics.get("submission")
    if submission is not None and "accuracy" in submission:
        lines.append(
            f"submission's accuracy: {submission['accuracy']:.3f} on {submission['num_clips']} "
            "test clips, of recordings used for nothing else"
        )
    lines += _generator_lines(metrics["cgan"]) if "cgan" in metrics else []
    if "generated" in metrics:
        generated = metrics["generated"]
        lines.append(
            f"generated clips: {generated['judge_accuracy']:.3f} of {generated['num_clips']} "
            "(in generated/) are classified as the class they were made for"
        )
    return lines


def _generator_lines(cgan: GeneratorMetrics) -> list[str]:
    line = (
        f"generator: epoch {cgan['generator_epoch']} of {cgan['epoch']}; at the end "
        f"loss_D {cgan['loss_D']:.3f}, loss_G {cgan['loss_G']:.3f}"
    )
    lines = [line]
    lines += [_judge_line(space["judge"], space["baseline"]) for space in _spaces(cgan).values()]
    hint = cgan["hardware"]["hint"] if "hardware" in cgan else None
    return [*lines, f"generator's training: {hint}"] if hint is not None else lines


def _spaces(cgan: GeneratorMetrics) -> dict[str, JudgedMetrics]:
    """Return the judge's metrics in each space, by the first part of their tags."""
    spaces: dict[str, JudgedMetrics] = {"judge": cgan} if "judge" in cgan else {}
    return spaces | ({"embedding": cgan["embedding"]} if "embedding" in cgan else {})


def _judge_line(judge: EvaluationMetrics, baseline: EvaluationMetrics) -> str:
    generated, real = judge["overall"], baseline["overall"]
    distances = [
        f"{name} {generated[name]:.3f} ({real[name]:.3f})"
        for name in _DISTANCES
        if None not in (generated.get(name), real.get(name))
    ]
    return (
        f"generator's clips: {generated['accuracy']:.3f} of {judge['num_clips']} are classified "
        f"as their class (real clips: {real['accuracy']:.3f}); {', '.join(distances)}; "
        f"{judge['note']}"
    )


def _hardware_rows(hardware: HardwareMetrics | None) -> dict[str, str]:
    """Return the rows of the table of speed and hardware by name."""
    if hardware is None:
        return {}
    is_gpu, num_workers = hardware["gpu_total_mib"] is not None, hardware["num_workers"]
    on_host = "launches" if is_gpu else "computing"
    shares = {
        "waiting for clips": hardware["loader_share"],
        on_host: hardware["launch_share"],
        "waiting for the device": hardware["device_share"],
    }
    rows = {
        "device": hardware["device"] + (", of worker 0" if num_workers > 1 else ""),
        "workers": f"{num_workers}, of {hardware['num_threads']} thread(s) each",
        "clips per second": _number(hardware["clips_per_s"]),
        "time of a step": _number(hardware["step_ms"], " ms"),
    }
    if is_gpu:
        of_total = f" of {hardware['gpu_total_mib']:,.0f} MiB"
        rows |= {
            "GPU busy": _share(hardware["gpu_busy"]),
            "GPU power": _number(hardware["gpu_power_w"], " W"),
            "GPU memory": _number(hardware["gpu_mib"], of_total),
        }
    return rows | {
        "memory of the process": _number(hardware["process_mib"], " MiB"),
        "time of an epoch": ", ".join(f"{name} {_share(value)}" for name, value in shares.items()),
        "limit": hardware["limit"] or _UNKNOWN,
    }


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return _UNKNOWN
    return f"{value:,.0f}{unit}" if value >= 100 else f"{value:.1f}{unit}"


def _share(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.0%}"


def _draw_generator_plots(run: Location, cgan: GeneratorMetrics) -> None:
    """Plot the losses by epoch and, if there was a judge, its metrics beside real clips'."""
    epochs = _read_table(run / layout.CGAN_EPOCHS_NAME)
    losses = {name: epochs[name].tolist() for name in ("loss_D", "loss_G")}
    picture = plots.curves(losses, "conditional GAN", "epoch", "loss")
    (run / layout.FIGURES_DIR / layout.LOSSES_NAME).write_bytes(plots.png(picture))
    if "judge" not in cgan:
        return
    judged = epochs.dropna(subset="judge/accuracy")
    real = {
        f"{space}/{name}": baseline
        for space, metrics in _spaces(cgan).items()
        for name, baseline in metrics["baseline_of_epochs"].items()
        if name in ("accuracy", *_DISTANCES)
    }
    if "mixture" in cgan:
        real = {"judge/mixture": cgan["mixture"]["baseline_of_epochs"]} | real
    series = {
        tag.removeprefix("judge/"): (judged[tag].tolist(), baseline)
        # With few clips, a distance cannot be computed.
        for tag, baseline in real.items()
        if tag in judged and baseline is not None
    }
    picture = plots.curves_with_references(
        series, "generated clips, by the judge", "epoch", "real clips", judged["epoch"].tolist()
    )
    (run / layout.FIGURES_DIR / layout.EVALUATIONS_NAME).write_bytes(plots.png(picture))


def _tensorboard_command(run: Location) -> str:
    if run.is_local:
        return shlex.join(tensorboard_command(run / layout.TENSORBOARD_DIR))
    return f"python -m freqquest watch --run-dir {run}"


def _read_table(file: Location) -> pd.DataFrame:
    content = io.BytesIO(file.read_bytes())
    with name_damaged(file):
        return pd.read_csv(content)


def _shown_epoch(run: Location, cgan: GeneratorMetrics | None) -> int | None:
    """Return the epoch whose generator is kept if it left a picture, else the last that did."""
    pictures = (run / layout.SPECTROGRAMS_DIR).list_dir()
    matches = (_PICTURE_NAME.fullmatch(picture.name) for picture in pictures)
    epochs = {int(match[1]) for match in matches if match}
    kept = cgan["generator_epoch"] if cgan is not None else None
    return kept if kept in epochs else max(epochs, default=None)


def _sounds(run: Location, epoch: int | None) -> dict[str, str]:
    """Return the path of each class's WAV file of an epoch, relative to the run folder."""
    ending = layout.sample_name("", epoch)
    names = [file.name for file in (run / layout.SAMPLES_DIR).list_dir()]
    return {
        name.removesuffix(ending): f"{layout.SAMPLES_DIR}/{name}"
        for name in names
        if name.endswith(ending)
    }
