import numpy as np
import pytest
import soundfile

from freqquest.cnn.devices import Device
from freqquest.detection.scan import Scan
from freqquest.detection.scan_worker import Listener, ListeningActor
from freqquest.storage import locate
from tests.cnn.conftest import CLASSES, write_classifier
from tests.conftest import RATE_HZ


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """The file of an untrained classifier whose predictions differ between windows."""
    return write_classifier(locate(tmp_path_factory.mktemp("model") / "best_model.keras"), CLASSES)


@pytest.fixture
def listening_here(monkeypatch):
    """Let scans run their actor in this process; the slow tests have Ray's."""

    def listen_here(scan, pieces):
        settings = Listener(
            model_file=scan.model_file, device=Device(), grid=scan.grid, parts=scan.parts
        )
        yield from map(ListeningActor(settings), pieces)

    monkeypatch.setattr("freqquest.detection.scan_worker.prepare", lambda device: None)
    monkeypatch.setattr(Scan, "_listen", listen_here)


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
