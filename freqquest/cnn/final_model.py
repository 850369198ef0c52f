"""Fit networks side by side, as Ray tasks, outside of any search. The driver stays free of TensorFlow."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import ray

from freqquest.cluster import capacity
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.final_model_worker import fit_network
from freqquest.cnn.labeled_clips import SplitRows
from freqquest.progress import Progress
from freqquest.storage import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class FitTask:
    """One network to train."""

    network: CnnConfig
    part: SplitRows
    max_epochs: int
    seed: int


def fit_all(
    fits: dict[str, FitTask],
    clips: Any,
    folder: Location,
    *,
    cpus_per_fit: int | None,
    use_gpu: bool,
) -> dict[str, np.ndarray | None]:
    """Train networks and save each as `<folder>/<name>.keras`; those that are there already are not trained again.

    Args:
        fits: What to train, by name.
        clips: LabeledClips in Ray's object store.
        folder: Where the networks go.
        cpus_per_fit: Cores of each; None shares them out.
        use_gpu: One GPU for each.

    Returns:
        By name: the probabilities `[N, K]` that it gives its part's validation clips; None where the loss did not stay
        finite.
    """
    if not fits:
        return {}
    resources = capacity.trial_resources(len(fits), cpus_each=cpus_per_fit, use_gpu=use_gpu)
    # One training a process (max_calls): TensorFlow's memory goes with it, and its threads are set once.
    task = ray.remote(
        num_cpus=resources["CPU"],
        num_gpus=resources["GPU"],
        memory=resources["memory"],
        max_calls=1,
    )(fit_network)
    waiting = {
        task.remote(
            clips,
            fit.network,
            fit.part,
            fit.max_epochs,
            fit.seed,
            int(resources["CPU"]),
            folder / f"{name}.keras",
        ): name
        for name, fit in fits.items()
    }
    predictions: dict[str, np.ndarray | None] = {}
    with Progress("fit the final model", len(fits), "networks") as progress:
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            predictions[waiting.pop(done)] = ray.get(done)
            progress.update(1)
    return predictions
