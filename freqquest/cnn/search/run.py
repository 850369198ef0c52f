"""The search, on Ray Tune: ASHA stops trials early, and Optuna's TPE proposes them.

Runs in the driver; only the trials load Keras (`freqquest.cnn.search.trial`).
Sources: Li et al., 2020, "A System for Massively Parallel Hyperparameter Tuning" (ASHA); Bergstra
et al., 2011, "Algorithms for Hyper-Parameter Optimization" (TPE).
"""

import dataclasses
import re
import sys
from typing import TYPE_CHECKING

import optuna
import ray
from ray import tune

from freqquest.cluster import capacity, connection, ray_internals
from freqquest.cluster.tasks import release_on_interrupt
from freqquest.cnn.config import PRESETS, CnnConfig
from freqquest.cnn.devices import Device
from freqquest.cnn.frameworks import Backend
from freqquest.cnn.labeled_clips import SplitRows
from freqquest.cnn.search.outcome import FINISHED, OBJECTIVE, Outcome, table
from freqquest.cnn.search.ray_tune import (
    ProtectedASHA,
    ResumableOptunaSearch,
    SearchProgress,
    TrialTracker,
    index_of_point,
)
from freqquest.cnn.search.space import Space, as_domains, narrow, nearest
from freqquest.cnn.search.trial import TrialTask, run_trial
from freqquest.cnn.search.trial_progress import PROGRESS_DIR
from freqquest.cnn.start_weights import Start
from freqquest.cnn.tune_config import TuneConfig
from freqquest.dataset.manifest import Manifest
from freqquest.errors import UserError
from freqquest.runs import layout
from freqquest.runs.metrics import Settings
from freqquest.runs.tables import write_csv
from freqquest.runs.tracker import tracker_store
from freqquest.storage import Location

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

_STATE_NAME = re.compile(r"experiment_state-.*\.json")
_ERROR_LINE = re.compile(r"[\w.]+(Error|Exception|Exit)\b")

_MAX_LOSSES = 3
"""How often a trial goes on in another process when its own, or its node, was lost. An error of the
trial's own code would occur again, so it ends the trial (`run_trial`)."""

_NUM_RANDOM = 5
"""Trials, including the first points, after which Optuna proposes from results, not at random."""


def run_search(
    config: TuneConfig,
    manifest: Manifest,
    shared_clips: ray.ObjectRef,
    splits: list[SplitRows],
    run: Location,
    gpu_backend: Backend | None = None,
    held_bytes: int = 0,
    start: Start | None = None,
) -> list[Outcome]:
    """Run all trials, list them in trials.csv, and print those that failed.

    Args:
        config: Settings of the search.
        manifest: Manifest of the dataset.
        shared_clips: LabeledClips in Ray's object store.
        splits: Training and validation rows; each trial is trained on each split in turn.
        run: The run folder.
        gpu_backend: Keras' backend on GPUs; None for CPU cores.
        held_bytes: Bytes of clips that each trial holds for itself.
        start: Earlier model that all trials start from.

    Raises:
        UserError: No trial finished, or not all were started.
    """
    resources = capacity.trial_resources(
        config.effective_num_trials,
        cpus_each=config.cpus_per_trial,
        use_gpu=config.use_gpu,
        sharing_gpu=config.trials_per_gpu,
        held_bytes=held_bytes,
    )
    task = TrialTask(
        shared_clips=shared_clips,
        splits=splits,
        clip=manifest.clip,
        max_epochs=config.effective_max_epochs,
        logs=run / layout.TENSORBOARD_DIR / "cnn",
        device=Device(
            num_threads=int(resources["CPU"]),
            gpu_backend=gpu_backend,
            mixed_precision=config.mixed_precision,
        ),
        rungs=rungs(config.effective_max_epochs * len(splits)),
        start=None if start is None else start.of_search,
    )
    outcomes = _run_trials(config, task, resources, run, start and start.cnn_config)
    _remove_abandoned(run / layout.TRIALS_DIR, task.logs, outcomes)
    write_csv(table(outcomes), run / layout.TRIALS_NAME)
    _print_failures(outcomes)
    return outcomes


def _print_failures(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if not outcome.is_valid:
            print(
                f"trial {outcome.trial_id} failed: {outcome.state}; its configuration: "
                f"{outcome.cnn_config}",
                file=sys.stderr,
            )


def search_space(config: TuneConfig, start: CnnConfig | None = None) -> Space:
    """Return the settings that the trials vary; none for the published recipe.

    Args:
        config: Settings of the search.
        start: Configuration of the earlier model that all trials start from.

    Raises:
        UserError: `only` has an unknown setting, or an invalid value of one.
    """
    return {} if config.preset == "reference" else narrow(config.only, start)


def first_points(config: TuneConfig, start: CnnConfig | None = None) -> list[Settings]:
    """Return the points that the search starts from, which are in the space.

    They are the preset, then the published recipe; or the earlier model's configuration.
    """
    space = search_space(config, start)
    if config.preset == "reference":
        return [{"seed": config.seed}]
    if start is not None:
        return [nearest(space, start)]
    points = [nearest(space, PRESETS[preset]) for preset in ("default", "reference")]
    return [point for number, point in enumerate(points) if point not in points[:number]]


def rungs(num_epochs: int) -> tuple[int, ...]:
    """Return the epochs at which ASHA compares trials: a quarter of all, then each 3 times more."""
    epochs = [max(1, num_epochs // 4)]
    while epochs[-1] * 3 < num_epochs:
        epochs.append(epochs[-1] * 3)
    return tuple(epochs)


def can_resume(trials: Location) -> bool:
    """Return whether Ray Tune saved its state; a search killed in its first second has none."""
    return any(_STATE_NAME.match(entry.name) for entry in trials.list_dir())


def _run_trials(
    config: TuneConfig,
    task: TrialTask,
    resources: dict[str, float],
    run: Location,
    start: CnnConfig | None,
) -> list[Outcome]:
    """Run a new search, or the rest of an interrupted one; return the first points first."""
    connection.configure("tune")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trainable = tune.with_resources(tune.with_parameters(run_trial, task=task), resources)
    num_addable = capacity.num_addable_trials(resources, config.effective_num_trials)
    ray_internals.set_max_pending_trials(max(1, num_addable))
    if can_resume(run / layout.TRIALS_DIR):
        trials = run / layout.TRIALS_DIR
        tuner = tune.Tuner.restore(
            trials.path,
            trainable,
            resume_unfinished=True,
            resume_errored=True,
            storage_filesystem=trials.filesystem,
        )
        ray_internals.set_callbacks(tuner, _callbacks(config, task, run))
    else:
        tuner = _new_tuner(config, task, trainable, run, start)
    with release_on_interrupt():
        results = tuner.fit()
    points = first_points(config, start)
    outcomes = sorted(
        (_outcome(result) for result in results),
        key=lambda outcome: index_of_point(outcome.params, points),
    )
    if len(outcomes) < config.effective_num_trials:
        raise UserError(
            f"only {len(outcomes)} of {config.effective_num_trials} trials were started: run the "
            "same command again"
        )
    if all(outcome.state != FINISHED for outcome in outcomes):
        raise UserError(
            f"none of {len(outcomes)} trials finished; the error of the first one: "
            f"{outcomes[0].state}"
        )
    return outcomes


def _new_tuner(
    config: TuneConfig,
    task: TrialTask,
    trainable: object,
    run: Location,
    start: CnnConfig | None,
) -> tune.Tuner:
    points = first_points(config, start)
    fixed = dataclasses.asdict(start or PRESETS[config.preset]) | {"seed": config.seed}
    domains = as_domains(search_space(config, start)) or {"seed": tune.randint(0, 2**31 - 1)}
    return tune.Tuner(
        trainable,
        param_space=fixed | domains,
        tune_config=tune.TuneConfig(
            metric=OBJECTIVE,
            mode="max",
            num_samples=config.effective_num_trials,
            scheduler=ProtectedASHA(
                points[0],
                time_attr="epoch",
                max_t=task.num_epochs,
                grace_period=task.rungs[0],
                reduction_factor=3,
            ),
            search_alg=ResumableOptunaSearch(
                points_to_evaluate=points,
                sampler=optuna.samplers.TPESampler(n_startup_trials=_NUM_RANDOM, seed=config.seed),
            ),
            trial_dirname_creator=_folder_name,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=layout.TRIALS_DIR,
            storage_path=run.path,
            storage_filesystem=run.filesystem,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            failure_config=tune.FailureConfig(max_failures=_MAX_LOSSES),
            callbacks=_callbacks(config, task, run),
            verbose=0,
        ),
    )


def _callbacks(config: TuneConfig, task: TrialTask, run: Location) -> list[tune.Callback]:
    progress = SearchProgress(config.effective_num_trials, task.num_epochs)
    if config.track is None:
        return [progress]
    return [TrialTracker(tracker_store(config.track, run)), progress]


def _folder_name(trial: "Trial") -> str:
    """Name a trial's folder without characters that a shell would interpret."""
    return str(trial.trial_id)


def _outcome(result: tune.Result) -> Outcome:
    metrics = result.metrics or {}
    checkpoint = result.checkpoint
    return Outcome(
        trial_id=Location(result.filesystem, result.path).name,
        params=result.config or {},
        state=_error_line(result.error) if result.error else metrics.get("state", "not started"),
        score=metrics.get(OBJECTIVE, 0.0),
        fold_scores=metrics.get("scores", []),
        history=metrics.get("history", []),
        checkpoint=Location(checkpoint.filesystem, checkpoint.path) if checkpoint else None,
    )


def _error_line(error: Exception) -> str:
    """Return the line of a remote traceback that names the error."""
    lines = str(error).strip().splitlines()
    return next((line for line in reversed(lines) if _ERROR_LINE.match(line)), lines[-1])


def _remove_abandoned(trials: Location, logs: Location, outcomes: list[Outcome]) -> None:
    """Remove states of trainings that have ended, and trials that an interrupted search forgot."""
    by_id = {outcome.trial_id: outcome for outcome in outcomes}
    for folder in [*trials.list_dir(), *logs.list_dir()]:
        if not folder.is_dir():
            continue
        if folder.name not in by_id:
            folder.remove_dir()
            continue
        if (progress := folder / PROGRESS_DIR).exists():
            progress.remove_dir()
