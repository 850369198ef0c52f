"""The remote side of a scan: an actor that holds the model and works on pieces of recordings.

Keras is loaded in the actor only.
"""

from dataclasses import dataclass
from functools import partial
from typing import TypedDict

from freqquest.audio.unreadable import UnreadableClipError
from freqquest.cnn.devices import Device, prepare
from freqquest.cnn.model_file import load_model, read_card
from freqquest.cnn.network import predict_probabilities
from freqquest.detection.grid import Grid
from freqquest.detection.listen import listen
from freqquest.detection.parts import has_part, write_part
from freqquest.storage import Location, reason


class Piece(TypedDict):
    """A row of Ray Data: consecutive units of a recording."""

    recording: int
    """Row of the table of recordings."""
    path: str
    duration_s: float
    first_unit: int
    stop_unit: int
    key: str
    """Key of the recording's parts."""


class Done(TypedDict):
    """The result for a piece."""

    recording: int
    seconds: float
    """Length of the piece."""
    unreadable: str
    """Reason why the recording cannot be read; empty if it can."""
    problem: str
    """Failure of the storage; Ray would wrap an exception into a page of text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """Settings of an actor."""

    model_file: Location
    device: Device
    grid: Grid
    parts: Location


class ListeningActor:
    """An actor of Ray Data that turns pieces into parts."""

    def __init__(self, settings: Listener) -> None:
        prepare(settings.device)
        self._settings = settings
        self._predict = partial(predict_probabilities, load_model(settings.model_file))
        self._analysis = read_card(settings.model_file).analysis(settings.model_file)

    def __call__(self, piece: Piece) -> Done:
        grid = self._settings.grid
        units = range(piece["first_unit"], piece["stop_unit"])
        done = Done(
            recording=piece["recording"],
            seconds=grid.seconds(units, piece["duration_s"]),
            unreadable="",
            problem="",
        )
        try:
            # A task that lost its node is repeated, though some of its pieces may be done.
            if not has_part(self._settings.parts, piece["key"], units):
                path, duration_s = piece["path"], piece["duration_s"]
                heard = listen(path, duration_s, units, grid, self._predict, self._analysis)
                write_part(self._settings.parts, piece["key"], units, list(heard))
        except UnreadableClipError as error:
            done["unreadable"] = str(error)
        except OSError as error:
            done["problem"] = f"{piece['path']} cannot be scanned: {reason(error)}"
        return done
