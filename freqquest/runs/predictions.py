"""Predictions of the held-out clips: a table in the run folder, and the clips worth a look. No Ray.

Shapes: N clips, K classes.
"""

import io
from dataclasses import dataclass

import numpy as np
import pandas as pd

from freqquest.runs import layout
from freqquest.runs.tables import LABEL_SEPARATOR, name_damaged, restore, write_csv
from freqquest.storage import Location

MAX_MISTAKES = 300
MAX_RIGHT = 200
"""Clips that the report shows of those with a mistake, and of the others."""

_PLACE = ("path", "start_s", "end_s", "recording")
_PROBABILITY = "probability_"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Predictions:
    """Clips that a classifier was not trained on, and its answers."""

    places: pd.DataFrame
    """Row of each clip: `path`, `start_s`, `end_s` (NaN if the file ends it) and `recording`."""
    classes: tuple[str, ...]
    labels: np.ndarray
    """True labels `[N, K]`, bool."""
    answers: np.ndarray
    """Predicted labels `[N, K]`, bool."""
    probabilities: np.ndarray
    """Calibrated probabilities `[N, K]`."""
    has_several_labels: bool

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.places)

    @property
    def are_wrong(self) -> np.ndarray:
        """Return which clips have a wrong or a missed label, `[N]`, bool."""
        return np.asarray((self.labels != self.answers).any(axis=1))

    @property
    def confidences(self) -> np.ndarray:
        """Return how sure the classifier is of each answer, `[N]`.

        It is the probability of the answer. Of clips with several labels, each of which is a
        decision, it is that of the surest wrong one or, in right answers, of the least sure one.
        """
        if not self.has_several_labels:
            return np.asarray(self.probabilities.max(axis=1))
        of_decisions = np.where(self.answers, self.probabilities, 1 - self.probabilities)
        surest_wrong = np.where(self.labels != self.answers, of_decisions, 0).max(axis=1)
        return np.asarray(np.where(self.are_wrong, surest_wrong, of_decisions.min(axis=1)))


def write_predictions(predictions: Predictions, run: Location) -> None:
    """Write the table of predictions into a run folder."""
    names = [f"{_PROBABILITY}{label}" for label in predictions.classes]
    rounded = pd.DataFrame(predictions.probabilities.astype(float).round(6), columns=names)
    table = predictions.places.assign(
        label=_texts(predictions.labels, predictions.classes),
        Class=_texts(predictions.answers, predictions.classes),
    )
    table = pd.concat([table.reset_index(drop=True), rounded], axis=1)
    write_csv(table, run / layout.PREDICTIONS_NAME, unchanged=("start_s", "end_s", *names))


def read_predictions(run: Location, has_several_labels: bool) -> Predictions | None:
    """Return the predictions of a run; None if an older version made it.

    Raises:
        UserError: The table is damaged.
    """
    file = run / layout.PREDICTIONS_NAME
    if not file.is_file():
        return None
    content = file.read_bytes()
    with name_damaged(file):
        return _parse(content, has_several_labels)


def _parse(content: bytes, has_several_labels: bool) -> Predictions:
    texts = dict.fromkeys(("path", "recording", "label", "Class"), str)
    table = pd.read_csv(
        io.BytesIO(content), dtype=texts, keep_default_na=False, na_values={"end_s": [""]}
    )
    if table.drop(columns="end_s").isna().any(axis=None):
        raise ValueError("a row is not complete")
    for name in texts:
        table[name] = restore(table[name])
    probabilities = table.filter(regex=f"^{_PROBABILITY}")
    classes = tuple(str(name).removeprefix(_PROBABILITY) for name in probabilities)
    return Predictions(
        places=table[list(_PLACE)],
        classes=classes,
        labels=_indicators(table["label"], classes),
        answers=_indicators(table["Class"], classes),
        probabilities=probabilities.to_numpy(float),
        has_several_labels=has_several_labels,
    )


def worth_a_look(predictions: Predictions) -> np.ndarray:
    """Return the numbers of the clips that the report shows.

    First come mistakes, the surest first, then right answers, the least sure first, at most 300 and
    200. Where there are more, each pair of true and predicted labels keeps its first ones.
    """
    wrong, confidences = predictions.are_wrong, predictions.confidences
    both = np.hstack([predictions.labels, predictions.answers])
    pairs = pd.Series([of_clip.tobytes() for of_clip in both])
    surest = np.argsort(-confidences, kind="stable")
    mistakes = _first_of_each(surest[wrong[surest]], pairs, MAX_MISTAKES)
    unsure = surest[::-1]
    right = _first_of_each(unsure[~wrong[unsure]], pairs, MAX_RIGHT)
    return np.concatenate([mistakes, right])


def _first_of_each(clips: np.ndarray, pairs: pd.Series, num_kept: int) -> np.ndarray:
    """Return some of the clips in their order: the first of each pair, then the second, ..."""
    ranks = pairs.iloc[clips].groupby(pairs.iloc[clips]).cumcount().to_numpy()
    kept = np.sort(np.argsort(ranks, kind="stable")[:num_kept])
    return clips[kept]


def _texts(indicators: np.ndarray, classes: tuple[str, ...]) -> list[str]:
    """Return labels `[N, K]`, bool, as text."""
    names = np.array(classes, object)
    return [LABEL_SEPARATOR.join(names[of_clip]) for of_clip in indicators]


def _indicators(cells: pd.Series, classes: tuple[str, ...]) -> np.ndarray:
    """Return the labels in text cells as booleans `[N, K]`."""
    by_text = {
        text: np.isin(classes, text.split(LABEL_SEPARATOR)) for text in cells.unique().tolist()
    }
    return np.array([by_text[text] for text in cells], bool).reshape(len(cells), len(classes))
