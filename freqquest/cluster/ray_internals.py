"""Private APIs of Ray, in one place. Checked with Ray 2.60.0.

Light to import: the functions import Ray.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray.tune import Tuner
    from ray.tune.search.optuna import OptunaSearch

    from freqquest.storage import Location


def restart_unfinished_trials(trials: "Location", trainable: object) -> "Tuner":
    """Resume a search of Ray Tune: finished trials are kept, all others start from their beginning.

    The public arguments of `Tuner.restore` would let unfinished trials continue from a checkpoint.
    """
    from ray import tune

    restart = tune.ResumeConfig(
        unfinished=tune.ResumeConfig.ResumeType.RESTART,
        errored=tune.ResumeConfig.ResumeType.RESTART,
    )
    return tune.Tuner.restore(
        trials.path, trainable, storage_filesystem=trials.filesystem, _resume_config=restart
    )


def knows_trial(search: "OptunaSearch", trial_id: str) -> bool:
    """Return whether Optuna has proposed this trial; it fails for results of any other."""
    return trial_id in search._ot_trials


def set_max_pending_trials(count: int) -> None:
    """Let Ray Tune request resources for this many trials at once.

    With a search algorithm, its default is one, and an autoscaler would add node after node.
    """
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(count)


def wait_for_stopped_trials() -> None:
    """Let a trial's process wait for the thread of the trial before it, which it takes over.

    A stopped trial trains on until its next report. By default, Ray Tune waits for 2 s, and then
    fails the following trial. Call it inside of a trial.
    """
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "600"


def trial_folder() -> "Location":
    """Return the folder of the trial that runs in this process, in the storage of the search."""
    from ray import tune

    from freqquest.storage import Location

    storage = tune.get_context().get_storage()
    return Location(storage.storage_filesystem, storage.trial_fs_path)
