"""The report: one HTML page and a closing summary, from nothing but what a run folder holds."""

import io
import json
import re
import sys
from importlib.resources import files
from pathlib import Path
from statistics import pstdev
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from freqquest import plots
from freqquest.runs.folder import CONFIG_NAME, METRICS_NAME, TENSORBOARD_DIR, read_sections
from freqquest.storage import Location, locate

REPORT_NAME = "report.html"
_PICTURE_NAME = re.compile(r"epoch_(\d+)\.png")
_DISTANCES = ("frechet", "kernel", "diversity")
"""The judge's figures of generated clips, beside accuracy."""


def write_report(run_dir: str) -> str:
    """Write report.html and its figures; stages that the run does not hold are left out.

    Returns:
        The closing summary: what came out, where it lies, and how to look at it.
    """
    run = locate(run_dir)
    metrics = read_sections(run, METRICS_NAME)
    if "cgan" in metrics:
        epochs = _read_table(run / "cgan_epochs.csv")
        losses = {name: epochs[name].tolist() for name in ("loss_D", "loss_G")}
        picture = plots.curves(losses, "conditional GAN", "epoch", "loss")
        (run / "figures" / "cgan_losses.png").write_bytes(plots.png(picture))
        if "judge" in metrics["cgan"]:
            picture = _judge_curves(epochs, metrics["cgan"]["floor_of_epochs"])
            (run / "figures" / "cgan_judge.png").write_bytes(plots.png(picture))
    shown = _shown_epoch(run, metrics.get("cgan", {}).get("generator_epoch"))
    template = files("freqquest.runs").joinpath("report.html").read_text()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    page = environment.from_string(template).render(
        name=run.name,
        headlines=headlines(metrics),
        config=json.dumps(read_sections(run, CONFIG_NAME), indent=1),
        machine=next((section["machine"] for section in metrics.values()), ""),
        tensorboard=_tensorboard_command(run),
        shown_epoch=shown,
        sounds=_sounds(run, shown),
        dataset_pictures=(run / "dataset" / "figures").is_dir(),
        importance=(run / "figures" / "importance.png").is_file(),
        **{name: metrics.get(name) for name in ("dataset", "cnn", "cgan", "generated")},
    )
    (run / REPORT_NAME).write_text(page)
    return _summarize(run, metrics)


def headlines(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """The run's figures, each with what it was measured on.

    Args:
        metrics: Sections of metrics.json.
    """
    lines = _classifier_lines(metrics["cnn"]) if "cnn" in metrics else []
    if "accuracy" in metrics.get("submission", {}):
        submission = metrics["submission"]
        lines.append(
            f"submission's accuracy: {submission['accuracy']:.3f} on {submission['num_clips']} test clips, of "
            "recordings used for nothing else"
        )
    lines += _generator_lines(metrics["cgan"]) if "cgan" in metrics else []
    if "generated" in metrics:
        generated = metrics["generated"]
        lines.append(
            f"generated clips: {generated['judge_accuracy']:.3f} of {generated['num_clips']} (in generated/) are heard "
            "by the classifier as the class they were made for"
        )
    return lines


def _classifier_lines(cnn: dict[str, Any]) -> list[str]:
    by_part = cnn["accuracy_by_fold"]
    parts = f"; {', '.join(f'{part:.3f}' for part in by_part)} on each part, spread {pstdev(by_part):.3f}"
    parts = parts if len(by_part) > 1 else ""
    choices = ["configuration"] * (cnn["num_trials"] > 1) + ["epoch"] * (
        cnn["network"]["schedule"] == "plateau"
    )
    extra = (
        f"; trained on {cnn['num_extra_clips']} extra clips too"
        if cnn.get("num_extra_clips")
        else ""
    )
    chosen = f"; the same clips chose the {' and the '.join(choices)}" if choices else ""
    line = (
        f"classifier's accuracy: {cnn['accuracy']:.3f} on {cnn['num_clips']} validation clips of "
        f"{cnn['num_recordings']} recordings ({cnn['split']}{parts}){chosen}{extra}"
    )
    return [line, cnn["audit"]["sentence"]] if "audit" in cnn else [line]


def _generator_lines(cgan: dict[str, Any]) -> list[str]:
    line = (
        f"generator: epoch {cgan['generator_epoch']} of {cgan['epoch']}; at the end loss_D {cgan['loss_D']:.3f}, "
        f"loss_G {cgan['loss_G']:.3f}"
    )
    if "judge" not in cgan:
        return [line]
    ours, real = cgan["judge"]["overall"], cgan["floor"]["overall"]
    distances = [
        f"{name} {ours[name]:.3f} ({real[name]:.3f})"
        for name in _DISTANCES
        if None not in (ours[name], real[name])
    ]
    heard = (
        f"its clips: {ours['accuracy']:.3f} of {cgan['judge']['num_clips']} are heard as their class (real ones: "
        f"{real['accuracy']:.3f}); {', '.join(distances)}; {cgan['judge']['note']}"
    )
    return [line, heard]


def _judge_curves(epochs: pd.DataFrame, floor: dict[str, float]) -> np.ndarray:
    """What the judge found at each judgment, and of real clips."""
    judged = epochs.dropna(subset="judge/accuracy")
    series = {
        name: (judged[f"judge/{name}"].tolist(), floor[name])
        for name in ("accuracy", *_DISTANCES)
        if f"judge/{name}" in judged and floor[name] is not None  # few clips have no such distance
    }
    title = "generated clips, by freqquest's own classifier"
    return plots.curves_with_references(series, title, "epoch", "real clips", judged["epoch"].tolist())


def _summarize(run: Location, metrics: dict[str, dict[str, Any]]) -> str:
    places = {
        "report": REPORT_NAME,
        "classifier": "best_model.keras",
        "submission": "submission.csv",
        "generator": "generator.safetensors",
        "generated clips": "generated",
        "clips by epoch": "samples",
        "pictures": "spectrograms",
        "TensorBoard logs": TENSORBOARD_DIR,
    }
    refused = metrics.get("dataset", {}).get("num_quarantined", 0)
    return "\n".join(
        [
            "",
            *_class_table(metrics),
            *headlines(metrics),
            *(
                [f"refused clips: {refused}, listed in {run / 'dataset' / 'quarantine.csv'}"]
                if refused
                else []
            ),
            "",
            *(
                f"{name + ':':<18}{run / place}"
                for name, place in places.items()
                if (run / place).exists()
            ),
            f"{'look at it:':<18}{_tensorboard_command(run)}",
        ]
    )


def _class_table(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """The classification report of the validation clips."""
    if "cnn" not in metrics:
        return []
    rows = [
        f"{label:<24}{row['precision']:>10.2f}{row['recall']:>10.2f}{row['support']:>8.0f}"
        for label, row in metrics["cnn"]["by_class"].items()
    ]
    return [f"{'class':<24}{'precision':>10}{'recall':>10}{'clips':>8}", *rows, ""]


def _tensorboard_command(run: Location) -> str:
    if run.is_local:
        return f"{Path(sys.executable).parent / 'tensorboard'} --logdir {run / TENSORBOARD_DIR}"
    return f"python jobs/watch.py --run-dir {run}"


def _read_table(place: Location) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(place.read_bytes()))


def _shown_epoch(run: Location, kept: int | None) -> int | None:
    """The epoch whose generator is kept, or the last one, of those that left a picture and sounds."""
    places = (run / "spectrograms").list_dir()
    epochs = {int(match[1]) for place in places if (match := _PICTURE_NAME.fullmatch(place.name))}
    return kept if kept in epochs else max(epochs, default=None)


def _sounds(run: Location, epoch: int | None) -> dict[str, str]:
    """Each class, and its WAV file of an epoch."""
    folder, ending = run / "samples", f"_ep{epoch}.wav"
    names = [place.name for place in folder.list_dir()]
    return {
        name.removesuffix(ending): f"{folder.name}/{name}"
        for name in names
        if name.endswith(ending)
    }
