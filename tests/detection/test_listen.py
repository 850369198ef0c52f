import numpy as np
import pytest
import soundfile

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CNN_VIEW, log_mel
from freqquest.dataset.clip_inputs import Analysis, Inputs
from freqquest.dataset.load_clip import measure_file, open_waveforms
from freqquest.dataset.windows import WindowConfig
from freqquest.detection.grid import Grid
from freqquest.detection.listen import listen
from freqquest.detection.parts import join
from tests.audio.encode import encode
from tests.conftest import RATE_HZ

GRID = Grid(clip=ClipConfig(), view=CNN_VIEW, hop_s=1.0)
ANALYSIS = Analysis(GRID.clip, GRID.view)


def band_means(inputs):
    """In place of a model: values that tell windows apart."""
    return inputs.spectrograms[:, ::40].mean(axis=2)


def write_recording(file, seconds, rate_hz=RATE_HZ):
    """A chirp with noise whose level changes each second."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    rng = np.random.default_rng(0)
    levels = 10 ** rng.uniform(-2.5, -0.5, int(seconds) + 1)
    sound = np.sin(2 * np.pi * (200 + 20 * time) * time) + 0.3 * rng.standard_normal(len(time))
    soundfile.write(file, (0.5 * sound * levels[time.astype(int)]).clip(-1, 1), rate_hz)
    return str(file)


def hear(path, units=None, predict=band_means, analysis=ANALYSIS):
    duration_s, _ = measure_file(path, WindowConfig())
    units = units or range(GRID.num_units(duration_s))
    return list(listen(path, duration_s, units, GRID, predict, analysis)), duration_s


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """100 s at twice the model's rate, in two units."""
    return write_recording(tmp_path_factory.mktemp("long") / "a.wav", 100.0, 44_100)


def test_each_window_is_heard_as_if_it_were_alone(recording):
    heard, duration_s = hear(recording)
    assert [len(unit.probabilities) for unit in heard] == [64, 33]
    probabilities = np.concatenate([unit.probabilities for unit in heard])
    starts = GRID.starts(0, GRID.num_windows(duration_s))[::10]
    waveforms = open_waveforms(recording, GRID.clip, (starts * GRID.frame_s).tolist())
    alone = band_means(Inputs(np.stack([log_mel(wave, CNN_VIEW, RATE_HZ) for wave in waveforms])))
    np.testing.assert_allclose(probabilities[::10], alone, atol=2e-3)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_units_are_the_same_bit_by_bit_however_they_are_grouped(tmp_path, recording, ending):
    samples, rate_hz = soundfile.read(recording, dtype="float32")
    path = str(tmp_path / f"a.{ending}")
    with soundfile.SoundFile(path, "w", rate_hz, 1) as file:
        for block in np.split(samples, range(rate_hz, len(samples), rate_hz)):
            file.write(block)  # libsndfile's Vorbis encoder crashes on more at once
    require_same_units(path, tolerance=0)


def test_units_of_a_codec_that_fills_in_noise_differ_by_that_noise_only(tmp_path, recording):
    samples, _ = soundfile.read(recording, dtype="float32")
    (tmp_path / "a.m4a").write_bytes(encode("m4a", samples))
    # Not the picture, whose quietest bands are that noise.
    require_same_units(str(tmp_path / "a.m4a"), 0.1, ("probabilities", "levels", "changes"))


def require_same_units(path, tolerance, names=("probabilities", "levels", "changes", "columns")):
    together, _ = hear(path)
    for unit, expected in enumerate(together):
        ((alone,), _) = hear(path, range(unit, unit + 1))
        for name in names:
            difference = np.abs(getattr(alone, name) - getattr(expected, name)).max()
            assert difference <= tolerance, (unit, name)


def test_levels_changes_and_picture_cover_the_recording_once(recording):
    heard, duration_s = hear(recording)
    whole = join(heard)
    num_frames = GRID.num_frames(duration_s)
    assert whole.levels.shape == whole.changes.shape == (num_frames,)
    assert whole.columns.shape == (64, -(-num_frames // 3))
    assert np.isfinite(whole.columns).all()
    seconds = np.abs(np.diff(whole.levels[10::43].astype(float))) > 6
    assert 0.2 < seconds.mean() < 0.9  # the level changes between seconds


@pytest.mark.parametrize("seconds", [0.05, 1.0, 4.0])
def test_a_recording_that_is_shorter_than_a_window_is_padded_with_silence(tmp_path, seconds):
    path = write_recording(tmp_path / "short.wav", seconds)
    (heard,), _ = hear(path)
    (waveform,) = open_waveforms(path, GRID.clip, [0.0])
    expected = band_means(Inputs(log_mel(waveform, CNN_VIEW, RATE_HZ)[None]))
    np.testing.assert_allclose(heard.probabilities, expected, atol=1e-4)


def test_windows_have_the_vectors_that_they_would_have_alone(recording):
    heard, vectors = [], []

    class Ears:
        def vectors(self, waveforms):
            heard.extend(waveforms)
            return np.array([[wave.std()] for wave in waveforms])

    def predict(inputs):
        vectors.append(inputs.vectors)
        return band_means(inputs)

    _, duration_s = hear(recording, predict=predict, analysis=Ears())
    starts = GRID.starts(0, GRID.num_windows(duration_s)) * GRID.frame_s
    alone = list(open_waveforms(recording, GRID.clip, starts.tolist()))
    assert len(heard) == len(alone) == len(np.concatenate(vectors))
    np.testing.assert_allclose(heard, alone, atol=2e-3)
