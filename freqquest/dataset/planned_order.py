"""Order of a split's clips in the shards. NumPy and pandas."""

import numpy as np
import pandas as pd

_RUN = 16
"""Windows of a file that stay together: each shard that has some of them must open the file, and
decode or count what precedes them.
"""

_MAX_RUNS = 32
"""Largest number of runs of a file. Those of very long files are longer, so that the time to read a
file stays proportional to its length.
"""


def planned_order(clips: pd.DataFrame, num_versions: int, rng: np.random.Generator) -> np.ndarray:
    """Return an order of `num_versions` versions of each clip, shuffled by runs of windows.

    Args:
        clips: Table of clips.
        num_versions: Versions of each clip.
        rng: Generator.

    Returns:
        Numbers of the versions: row `number // num_versions`, version `number % num_versions`.
    """
    return _shuffle(_runs(clips), num_versions, rng)


def _shuffle(runs: np.ndarray, num_versions: int, rng: np.random.Generator) -> np.ndarray:
    """Shuffle runs, of which `runs` has each row's number; those of one version stay together."""
    num_runs = int(runs.max(initial=-1)) + 1
    places = np.empty(num_runs * num_versions, np.int64)
    places[rng.permutation(len(places))] = np.arange(len(places))
    return np.argsort(places.reshape(-1, num_versions)[runs].ravel(), kind="stable")


def _runs(clips: pd.DataFrame) -> np.ndarray:
    """Return the number of each row's run: neighboring windows of a file, or one row."""
    files, paths = pd.factorize(clips["path"])
    if len(paths) == len(clips):
        return files
    by_file = clips["start_s"].groupby(files)
    num_windows = by_file.transform("size").to_numpy()
    run_lengths = np.maximum(_RUN, -(-num_windows // _MAX_RUNS))
    within = (by_file.rank("first").to_numpy(np.int64) - 1) // run_lengths
    runs: np.ndarray = pd.factorize(files * _MAX_RUNS + within)[0]
    return runs
