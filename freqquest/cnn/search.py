"""Search for the best classifier with Ray Tune.

The driver plans and watches; TensorFlow is loaded only in the trials and in the task that evaluates the winner.
"""

import dataclasses
import math
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator

from freqquest import cluster
from freqquest.cnn.config import NUM_TRIALS, PRESETS, CnnConfig, TuneConfig
from freqquest.dataset.manifest import Manifest, load_manifest
from freqquest.dataset.read import read_split
from freqquest.errors import UserError
from freqquest.runs.folder import TENSORBOARD_DIR, RunFolder
from freqquest.runs.progress import Progress
from freqquest.runs.storage import Location, locate
from freqquest.runs.tables import write_csv

OBJECTIVE = "validation/best_accuracy"
"""Best validation accuracy so far: of the epoch whose model is kept."""

_TRIALS_DIR = "trials"
_MODEL_NAME = "model.keras"


def search(config: TuneConfig) -> dict[str, Any]:
    """Find, evaluate and save the best configuration; a finished search is left as it is.

    Needs an initialised Ray. Leaves best_model.keras, trials.csv, confusion_matrix.png and TensorBoard logs.

    Returns:
        The winner's metrics: accuracy, the split it belongs to, and a report for each class.

    Raises:
        UserError: The dataset or run folder is not usable, or no trial finished.
    """
    dataset = locate(config.dataset_dir)
    manifest = load_manifest(dataset)
    resources = cluster.require(num_workers=1, cpus_per_worker=config.cpus_per_trial, use_gpu=config.use_gpu)
    run = RunFolder(config.run_dir, "cnn", _settings(config, manifest))
    finished = run.finished()
    if finished is not None:
        return finished
    results = _run_trials(config, dataset, manifest, run.location, resources)
    if len(results) < _num_trials(config):
        raise UserError(f"only {len(results)} of {_num_trials(config)} trials were started: run the same command again")
    write_csv(_table(results), run / "trials.csv")
    best = _best(results)
    model_file = Location(best.checkpoint.filesystem, best.checkpoint.path) / _MODEL_NAME
    evaluate = ray.remote(num_cpus=1, max_calls=1)(_finish_search)
    metrics = ray.get(evaluate.remote(model_file, _network(best.config), dataset, manifest, run.location))
    return run.finish(metrics | {"num_trials": len(results)})


def search_space(config: TuneConfig) -> dict[str, Any]:
    """What the trials vary, around the preset; the reference stays as published, but for its seed."""
    fixed = dataclasses.asdict(PRESETS[config.preset]) | {"seed": config.seed}
    if config.preset == "reference":
        return fixed | {"seed": tune.randint(1, 1_000_000)}
    return fixed | {
        "learning_rate": tune.loguniform(3e-4, 3e-3),
        "batch_size": tune.choice([16, 32]),
        "dropout": tune.choice([0.2, 0.3, 0.5]),
        "block_dropout": tune.choice([0.0, 0.1, 0.2]),
        "num_blocks": tune.choice([3, 4]),
        "num_filters": tune.choice([16, 24, 32]),
    }


def _settings(config: TuneConfig, manifest: Manifest) -> dict[str, Any]:
    """What shapes the search's results."""
    return {
        "dataset_sha256": manifest.content_sha256,
        "preset": config.preset,
        "num_trials": _num_trials(config),
        "max_epochs": config.max_epochs,
        "seed": config.seed,
    }


def _num_trials(config: TuneConfig) -> int:
    return config.num_trials or NUM_TRIALS[config.preset]


def _run_trials(
    config: TuneConfig, dataset: Location, manifest: Manifest, run: Location, resources: dict[str, float]
) -> tune.ResultGrid:
    """All trials: of a new search, or those that an interrupted one had left to do."""
    cluster.quiet("tune")
    trainable = tune.with_resources(
        tune.with_parameters(
            _run_trial,
            data=_load_data(dataset, manifest),
            max_epochs=config.max_epochs,
            logs=run / TENSORBOARD_DIR / "cnn",
            num_threads=int(resources["CPU"]),
        ),
        resources,
    )
    trials = str(run / _TRIALS_DIR)
    if tune.Tuner.can_restore(trials):
        # A trial keeps no optimiser state: an unfinished one starts again, or it would be given too few epochs.
        restart = tune.ResumeConfig(
            unfinished=tune.ResumeConfig.ResumeType.RESTART, errored=tune.ResumeConfig.ResumeType.RESTART
        )
        return tune.Tuner.restore(trials, trainable, _resume_config=restart).fit()
    return tune.Tuner(
        trainable,
        param_space=search_space(config),
        tune_config=tune.TuneConfig(
            metric=OBJECTIVE,
            mode="max",
            num_samples=_num_trials(config),
            scheduler=ASHAScheduler(
                max_t=config.max_epochs, grace_period=max(1, config.max_epochs // 4), reduction_factor=3
            ),
            search_alg=BasicVariantGenerator(points_to_evaluate=[_first_point(config)], random_state=config.seed),
            trial_dirname_creator=_trial_id,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=_TRIALS_DIR,
            storage_path=str(run),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            callbacks=[_Watch(_num_trials(config), config.max_epochs)],
            verbose=0,
        ),
    ).fit()


def _trial_id(trial: Any) -> str:
    """Folder names that a shell can be given."""
    return str(trial.trial_id)


def _first_point(config: TuneConfig) -> dict[str, Any]:
    """The preset itself, as the values of what the space varies."""
    preset = dataclasses.asdict(PRESETS[config.preset]) | {"seed": config.seed}
    varied = search_space(config)
    return {name: value for name, value in preset.items() if isinstance(varied[name], tune.search.sample.Domain)}


def _load_data(dataset: Location, manifest: Manifest) -> dict[str, Any]:
    """Fields of freqquest.cnn.trial.TrialData, which the driver cannot import without TensorFlow."""
    train = read_split(dataset, manifest, "train", "cnn")
    validation = read_split(dataset, manifest, "validation", "cnn")
    return {
        "train_spectrograms": train.spectrograms,
        "train_classes": train.class_indices,
        "validation_spectrograms": validation.spectrograms,
        "validation_classes": validation.class_indices,
        "num_classes": len(manifest.classes),
        "mean": manifest.normalisation["cnn"].mean,
        "standard_deviation": manifest.normalisation["cnn"].standard_deviation,
    }


def _run_trial(params: dict[str, Any], data: dict[str, Any], max_epochs: int, logs: Location, num_threads: int) -> None:
    """One trial, in its own process: fit, report every epoch, keep the best epoch's model."""
    from freqquest.cnn.logs import TrialLogs
    from freqquest.cnn.trial import TrialData, fit, prepare_tensorflow

    prepare_tensorflow(num_threads)
    network, trial_id = _network(params), tune.get_context().get_trial_id()
    trial_logs = TrialLogs(logs / trial_id)
    trial_logs.log_config(network, trial_id)
    best_accuracy, epoch = -math.inf, 0
    with tempfile.TemporaryDirectory() as folder:

        def report(metrics: dict[str, float]) -> None:
            nonlocal best_accuracy, epoch
            epoch += 1
            trial_logs.log_scalars(metrics, epoch)
            if not all(math.isfinite(value) for value in metrics.values()):
                raise FloatingPointError(f"epoch {epoch} gave a loss that is not finite: {metrics}")
            improved = metrics["validation/accuracy"] > best_accuracy
            best_accuracy = max(best_accuracy, metrics["validation/accuracy"])
            checkpoint = tune.Checkpoint.from_directory(folder) if improved else None
            tune.report(metrics | {OBJECTIVE: best_accuracy}, checkpoint=checkpoint)

        fit(
            network,
            TrialData(**data),
            max_epochs=max_epochs,
            seed=params["seed"],
            model_path=Path(folder) / _MODEL_NAME,
            on_epoch=report,
        )


def _finish_search(*arguments: Any) -> dict[str, Any]:
    """Imported where it runs, so that the driver stays free of TensorFlow."""
    from freqquest.cnn.evaluate import finish_search

    return finish_search(*arguments)


def _network(params: dict[str, Any]) -> CnnConfig:
    """A trial's parameters as the network's settings."""
    return CnnConfig(**{name: value for name, value in params.items() if name != "seed"})


def _best(results: tune.ResultGrid) -> tune.Result:
    try:
        return results.get_best_result()
    except RuntimeError as error:
        reasons = [str(result.error).strip().splitlines()[-1] for result in results if result.error]
        first = reasons[0] if reasons else "no metrics were reported"
        raise UserError(f"none of {len(results)} trials finished; the first one's error: {first}") from error


def _table(results: tune.ResultGrid) -> pd.DataFrame:
    """One row a trial: its configuration, its figures at the last epoch, and its error, if it had one."""
    rows = [
        {"trial": result.metrics.get("trial_id", "") if result.metrics else ""}
        | result.config
        | {name: value for name, value in (result.metrics or {}).items() if "/" in name and "config" not in name}
        | {
            "epochs": (result.metrics or {}).get("training_iteration", 0),
            "seconds": (result.metrics or {}).get("time_total_s", 0.0),
            "error": str(result.error).strip().splitlines()[-1] if result.error else "",
        }
        for result in results
    ]
    return pd.DataFrame(rows)


class _Watch(tune.Callback):
    """Shows the search's progress in the driver, in epochs of all trials."""

    def __init__(self, num_trials: int, max_epochs: int) -> None:
        self._num_trials, self._max_epochs = num_trials, max_epochs
        self._progress: Progress | None = None  # made when the search starts: this object is saved with it
        self._finished, self._best = 0, 0.0

    def setup(self, **info: Any) -> None:
        self._progress = Progress("tune", self._num_trials * self._max_epochs, "epochs")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._best = max(self._best, result[OBJECTIVE])
        self._show(1)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._skip_rest(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._skip_rest(trial)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        if self._progress is not None:
            self._progress.close()

    def _skip_rest(self, trial: Any) -> None:
        """An early end makes the remaining work less."""
        self._finished += 1
        done = (trial.last_result or {}).get("training_iteration", 0)
        self._show(self._max_epochs - done)

    def _show(self, count: int) -> None:
        if self._progress is not None:
            note = f"{self._finished}/{self._num_trials} trials done, best validation accuracy {self._best:.3f}"
            self._progress.update(count, note)
