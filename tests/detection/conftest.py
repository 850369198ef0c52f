import numpy as np
import pytest
import soundfile

from freqquest.cnn.devices import Device
from freqquest.detection.scan import Scan
from freqquest.detection.scan_worker import Listener, ListeningActor
from tests.conftest import RATE_HZ


def listen_here(monkeypatch):
    """Let scans run their actor in this process; a slow test has Ray's."""

    def listen(scan, pieces):
        settings = Listener(
            model_file=scan.model_file, device=Device(), grid=scan.grid, parts=scan.parts
        )
        yield from map(ListeningActor(settings), pieces)

    monkeypatch.setattr("freqquest.detection.scan_worker.prepare", lambda device: None)
    monkeypatch.setattr(Scan, "_listen", listen)


@pytest.fixture
def listening_here(monkeypatch):
    """`listen_here` for one test."""
    listen_here(monkeypatch)


@pytest.fixture(scope="session")
def recordings_dir(tmp_path_factory):
    """A recording of 150 s and one of 2 s, of tones and noise in turn; not to be changed."""
    root = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for name, seconds in {"long.flac": 150, "night/short.wav": 2}.items():
        time = np.arange(seconds * RATE_HZ) / RATE_HZ
        sound = 0.003 * rng.standard_normal(len(time))
        for start in range(3, seconds, 11):
            inside = (time >= start) & (time < start + 5)
            sound[inside] += 0.3 * np.sin(2 * np.pi * 50 * start * time[inside])
        (root / name).parent.mkdir(exist_ok=True)
        soundfile.write(root / name, sound, RATE_HZ)
    return root
