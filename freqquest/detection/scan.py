"""The scan of recordings, on Ray Data: actors that hold the model work on pieces.

What they hear lies in parts beside the output, so that a scan that was stopped goes on.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import ray
import ray.data

from freqquest.cluster import capacity, connection
from freqquest.cnn.devices import Device
from freqquest.cnn.gpu_backend import find_gpu_backend
from freqquest.detection.grid import Grid
from freqquest.detection.listen import Heard
from freqquest.detection.parts import join, list_parts, missing_units, read_part, remove_overlaps
from freqquest.detection.recordings import Recording
from freqquest.detection.scan_worker import Done, Listener, ListeningActor, Piece
from freqquest.errors import UserError
from freqquest.progress import Progress
from freqquest.storage import Location

_MAX_PIECE_S = 600.0
"""Longest piece, unless the user asks for another length."""

_PIECES_PER_CORE = 4
"""Pieces that each core gets at least, if there are as many units, so that all end together."""

_READ_AHEAD = 8
"""Recordings whose parts are read at once, and are in memory together."""

_ACTORS_PER_GPU = 4
"""Actors that share a GPU; each decodes and analyzes on a core of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """A scan of recordings; needs an initialized Ray."""

    model_file: Location
    grid: Grid
    parts: Location
    """Folder of the parts."""
    piece_s: float | None
    """Length of a piece; None for one that suits the cluster."""
    use_gpu: bool

    def run(self, recordings: Sequence[Recording]) -> list[Recording]:
        """Hear the readable recordings, but for what is in the parts already.

        Returns:
            The recordings, with the reasons of those that turned out to be unreadable.

        Raises:
            OSError: The storage fails.
        """
        remove_overlaps(self.parts)
        pieces = self._missing_pieces(recordings)
        total_s = sum(recording.duration_s for recording in recordings if not recording.reason)
        done_s = total_s - sum(self._seconds(piece) for piece in pieces)
        reasons: dict[int, str] = {}
        with Progress("listen", round(total_s / 60), "min") as progress:
            progress.begin_at(round(done_s / 60))
            for done in self._listen(pieces):
                if done["problem"]:
                    raise OSError(done["problem"])
                if done["unreadable"]:
                    reasons[done["recording"]] = done["unreadable"]
                done_s += done["seconds"]
                progress.update_to(round(done_s / 60))
        return [
            replace(recording, reason=reasons.get(number, recording.reason))
            for number, recording in enumerate(recordings)
        ]

    def heard(self, recordings: Sequence[Recording]) -> Iterator[tuple[Recording, Heard]]:
        """Yield what was heard in each readable recording.

        Raises:
            UserError: The parts are not those of this scan alone.
        """
        parts = list_parts(self.parts)

        def read(recording: Recording) -> Heard:
            of_recording = parts.get(recording.key, [])
            numbers = [number for units, _ in of_recording for number in units]
            if numbers != list(range(self.grid.num_units(recording.duration_s))):
                raise UserError(
                    f"{self.parts} does not hold {recording.name} once: another job has written or "
                    "removed parts there; let it end, and run the same command again"
                )
            return join([read_part(file) for _, file in of_recording])

        readable = [recording for recording in recordings if not recording.reason]
        with ThreadPoolExecutor(_READ_AHEAD) as threads:  # remote storage takes long to answer
            for first in range(0, len(readable), _READ_AHEAD):
                some = readable[first : first + _READ_AHEAD]
                yield from zip(some, threads.map(read, some), strict=True)

    def _missing_pieces(self, recordings: Sequence[Recording]) -> list[Piece]:
        """Return pieces of all that no part has."""
        parts = list_parts(self.parts)
        runs = [
            (number, run)
            for number, recording in enumerate(recordings)
            if not recording.reason
            for run in missing_units(
                [units for units, _ in parts.get(recording.key, [])],
                self.grid.num_units(recording.duration_s),
            )
        ]
        length = self._units_per_piece(sum(len(run) for _, run in runs))
        return [
            self._piece(number, recordings[number], run[first : first + length])
            for number, run in runs
            for first in range(0, len(run), length)
        ]

    def _units_per_piece(self, num_waiting: int) -> int:
        piece_s = self.piece_s or _MAX_PIECE_S
        length = max(1, round(piece_s / (self.grid.windows_per_unit * self.grid.hop_s)))
        if self.piece_s is not None or not num_waiting:
            return length
        num_pieces = _PIECES_PER_CORE * min(capacity.num_cores(), num_waiting)
        return min(length, math.ceil(num_waiting / num_pieces))

    def _piece(self, number: int, recording: Recording, units: range) -> Piece:
        return Piece(
            recording=number,
            path=recording.path,
            key=recording.key,
            duration_s=recording.duration_s,
            first_unit=units.start,
            stop_unit=units.stop,
        )

    def _seconds(self, piece: Piece) -> float:
        units = range(piece["first_unit"], piece["stop_unit"])
        return self.grid.seconds(units, piece["duration_s"])

    def _listen(self, pieces: list[Piece]) -> Iterator[Done]:
        if not pieces:
            return
        connection.configure("data")
        gpu_backend = find_gpu_backend() if self.use_gpu else None
        settings = Listener(
            model_file=self.model_file,
            device=Device(gpu_backend=gpu_backend),
            grid=self.grid,
            parts=self.parts,
        )
        num_places = capacity.num_cores()
        if gpu_backend:
            num_places = min(num_places, _ACTORS_PER_GPU * ray.cluster_resources()["GPU"])
        num_blocks = int(min(len(pieces), 2 * _PIECES_PER_CORE * num_places))
        num_actors = int(max(1, min(num_places, num_blocks)))
        yield from (
            ray.data.from_items(pieces, override_num_blocks=num_blocks)
            .map(
                ListeningActor,
                fn_constructor_args=(settings,),
                num_cpus=1,
                num_gpus=1 / _ACTORS_PER_GPU if gpu_backend else None,
                max_restarts=capacity.max_restarts(),
                compute=ray.data.ActorPoolStrategy(
                    min_size=1,
                    max_size=num_actors,
                    initial_size=num_actors,
                    max_tasks_in_flight_per_actor=2,
                ),
            )
            .iter_rows()
        )
