from types import SimpleNamespace

import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CNN_VIEW
from freqquest.audio.unreadable import UnreadableClipError
from freqquest.detection.grid import Grid
from freqquest.detection.parts import has_part, open_parts
from freqquest.detection.scan_worker import Listener, ListeningActor
from freqquest.storage import locate

PIECE = {
    "recording": 3,
    "path": "a.wav",
    "key": "abc",
    "duration_s": 100.0,
    "first_unit": 0,
    "stop_unit": 1,
}


@pytest.fixture
def make_actor(tmp_path, monkeypatch):
    """An actor without a model, and what it hears instead."""
    parts = open_parts(locate(tmp_path / "events.csv"), {})

    def make(listen):
        for name, stand_in in {
            "prepare": lambda device: None,
            "load_model": lambda file: None,
            "read_card": lambda file: SimpleNamespace(analysis=lambda file: None),
            "listen": listen,
            "write_part": lambda folder, key, units, heard: (
                folder / f"{key}-{units.start}-{units.stop}.npz"
            ).write_bytes(b"heard"),
        }.items():
            monkeypatch.setattr(f"freqquest.detection.scan_worker.{name}", stand_in)
        grid = Grid(clip=ClipConfig(), view=CNN_VIEW, hop_s=1.0)
        settings = Listener(
            model_file=locate(tmp_path / "m.keras"),
            device=SimpleNamespace(),
            grid=grid,
            parts=parts,
        )
        return ListeningActor(settings), parts

    return make


def failing(error):
    def listen(*arguments):
        raise error

    return listen


def test_a_piece_becomes_a_part_and_is_not_done_twice(make_actor):
    calls = []
    actor, parts = make_actor(lambda *arguments: calls.append(arguments) or iter(()))
    for _ in range(2):  # a task whose node was lost is repeated
        done = actor(PIECE)
        assert (done["recording"], done["unreadable"], done["problem"]) == (3, "", "")
        assert done["seconds"] == pytest.approx(64, abs=0.1)
    assert len(calls) == 1
    assert has_part(parts, "abc", range(1))


def test_a_corrupt_file_and_a_failing_storage_are_told_apart(make_actor):
    actor, parts = make_actor(failing(UnreadableClipError("truncated")))
    assert actor(PIECE)["unreadable"] == "truncated"
    actor, _ = make_actor(failing(OSError(5, "Input/output error")))
    done = actor(PIECE)
    assert done["unreadable"] == ""
    assert done["problem"] == "a.wav cannot be scanned: Input/output error"
    assert not has_part(parts, "abc", range(1))
