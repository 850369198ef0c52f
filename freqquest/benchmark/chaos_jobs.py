"""The jobs of the chaos benchmark, and what they leave: small, but every stage is there."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pyarrow import fs
from safetensors.numpy import load

from freqquest.benchmark.work_folder import job_command
from freqquest.cnn.search.outcome import FINISHED, OBJECTIVE, STOPPED
from freqquest.dataset.manifest import load_manifest
from freqquest.runs import layout
from freqquest.storage import Location

_SMALL = ("num_blocks=1", "num_filters=4", "input_pooling=4", "normalization=dataset")

_LOSS = "validation/loss"
_TOLERANCE = 1e-4
_WEIGHT_TOLERANCE = 1e-3
"""Difference of two generators' weights, relative to the norm of each tensor, that rounding
explains: sums in another order, after as many steps as here."""

_UNFINISHED = ("-staged-", ".training", "unfinished.json", "/progress/")
"""Parts of the names of files that a finished run does not have."""


class Job(NamedTuple):
    """One command."""

    name: str
    command: list[str]


def make_jobs(audio_dir: Path, test_dir: Path, folder: str) -> list[Job]:
    """Return the jobs from clips to a submission and generated clips.

    Args:
        audio_dir: Labeled clips.
        test_dir: Clips to classify.
        folder: Folder of the results, or its URI.
    """
    dataset, run = f"{folder}/dataset", f"{folder}/run"
    model = f"{run}/{layout.MODEL_NAME}"
    settings: dict[str, dict[str, object]] = {
        "preprocess": {
            "audio_dir": audio_dir,
            "dataset_dir": dataset,
            "sample_rate": 8000,
            "duration": 1,
            "clips_per_shard": 20,
        },
        "tune_cnn": {
            "dataset_dir": dataset,
            "run_dir": run,
            "num_trials": 2,
            "max_epochs": 4,
            "num_members": 1,
            "only": _SMALL,
        },
        "predict": {
            "model": model,
            "audio_dir": test_dir,
            "output": f"{folder}/{layout.SUBMISSION_NAME}",
            "overwrite": True,
        },
        "train_cgan": {"dataset_dir": dataset, "run_dir": run, "judge": model, "epochs": 6},
        "generate": {
            "generator": f"{run}/{layout.GENERATOR_NAME}",
            "output_dir": f"{folder}/generated",
            "label": "all",
            "num_clips": 2,
            "overwrite": True,
        },
    }
    return [Job(name, job_command(name, **of_job)) for name, of_job in settings.items()]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the jobs left."""

    shards: str
    """Hash of the dataset's rows."""
    scores: dict[str, tuple[float, float]]
    """Score and loss of each finished trial, by its configuration."""
    failures: list[str]
    """States of trials that failed."""
    submission: list[str]
    """Predicted classes."""
    weights: dict[str, np.ndarray]
    """Weights of the generator."""
    num_generated: int
    """Number of generated clips."""
    unfinished: list[str]
    """Files that should not be there."""

    def differences(self, other: "Outcome") -> list[str]:
        """Return what differs from another outcome, in words; nothing if they are equal."""
        found = []
        if self.shards != other.shards:
            found.append("other shards")
        for name in self.scores.keys() & other.scores.keys():
            if not np.allclose(self.scores[name], other.scores[name], rtol=0, atol=_TOLERANCE):
                found.append(f"score and loss {self.scores[name]}, not {other.scores[name]}")
        if not self.scores.keys() & other.scores.keys():
            found.append("no trial of the same configuration finished")
        if self.submission != other.submission:
            found.append("another submission")
        distance = self._distance(other)
        if not distance <= _WEIGHT_TOLERANCE:
            found.append(f"the generator's weights differ by {distance:.1e}")
        if self.num_generated != other.num_generated:
            found.append(f"{self.num_generated} generated clips, not {other.num_generated}")
        found += [f"a trial failed: {state}" for state in self.failures]
        return found + [f"unfinished: {name}" for name in self.unfinished]

    def _distance(self, other: "Outcome") -> float:
        shapes = [{name: each.shape for name, each in of.weights.items()} for of in (self, other)]
        if shapes[0] != shapes[1]:
            return np.inf
        distances = [
            np.linalg.norm(mine - other.weights[name]) / (np.linalg.norm(mine) + 1e-12)
            for name, mine in self.weights.items()
        ]
        return float(np.max(distances))  # NaN if one is


def read_outcome(folder: Location) -> Outcome:
    """Read what the jobs left in a folder."""
    run = folder / "run"
    trials = pd.read_csv(io.BytesIO((run / layout.TRIALS_NAME).read_bytes()))
    settings = trials.columns[trials.columns.get_loc("network") :]
    finished = trials[trials["state"] == FINISHED]
    submission = pd.read_csv(io.BytesIO((folder / layout.SUBMISSION_NAME).read_bytes()))
    return Outcome(
        shards=load_manifest(folder / "dataset").content_sha256,
        scores={
            " ".join(map(str, row[settings])): (float(row[OBJECTIVE]), float(row[_LOSS]))
            for _, row in finished.iterrows()
        },
        failures=sorted(set(trials["state"]) - {FINISHED, STOPPED}),
        submission=submission.iloc[:, -1].astype(str).tolist(),
        weights=load((run / layout.GENERATOR_NAME).read_bytes()),
        num_generated=sum(each.name.endswith(".wav") for each in (folder / "generated").list_dir()),
        unfinished=unfinished_files(folder),
    )


def unfinished_files(folder: Location) -> list[str]:
    """Return the paths of files, hidden ones too, that a finished run does not have."""
    selector = fs.FileSelector(folder.path, recursive=True)
    files = folder.filesystem.get_file_info(selector)
    names = [
        file.path.removeprefix(folder.path).lstrip("/")
        for file in files
        if file.type == fs.FileType.File
    ]
    return [name for name in names if any(part in name for part in _UNFINISHED)]
