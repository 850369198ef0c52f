import hashlib
import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from freqquest.audio.augment import (
    AUGMENTATIONS,
    MAX_GAIN_DB,
    MAX_PITCH_SEMITONES,
    MAX_SHIFT,
    MAX_SNR_DB,
    MAX_SPEED_CHANGE,
    MIN_GAIN_DB,
    MIN_SNR_DB,
    SHIFT_FADE_S,
    augment_waveform,
)
from tests.conftest import RATE_HZ, tone

SEEDS = [(42, 7, copy) for copy in range(1, 7)]
EACH_AND_ALL = [*((name,) for name in AUGMENTATIONS), AUGMENTATIONS]


def rms(samples):
    return np.sqrt(np.square(samples, dtype=np.float64).mean())


def peak_hz(samples):
    """Return the strongest frequency of two seconds, to a quarter of a hertz."""
    piece = samples[RATE_HZ : 3 * RATE_HZ]
    return np.abs(np.fft.rfft(piece * np.hanning(piece.shape[0]), 4 * RATE_HZ)).argmax() / 4


def checksum():
    """Return the hash of copies by each augmentation and by all of them."""
    copies = [
        augment_waveform(tone(440.0), RATE_HZ, names, seed)
        for names in EACH_AND_ALL
        for seed in SEEDS[:2]
    ]
    return hashlib.sha256(b"".join(copy.tobytes() for copy in copies)).hexdigest()


def in_a_fresh_process(code):
    """Return the output of some code, which must not warn."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("names", EACH_AND_ALL, ids="+".join)
@pytest.mark.parametrize("sound", ["tone", "silence", "full scale", "float64", "64 samples"])
def test_a_copy_has_the_length_of_the_clip_and_finite_float32_samples(names, sound):
    clip = {
        "tone": tone(440.0),
        "silence": np.zeros(4 * RATE_HZ, np.float32),
        "full scale": np.sign(tone(440.0)),
        "float64": tone(440.0).astype(np.float64),
        "64 samples": np.ones(64, np.float32),
    }[sound]
    before = clip.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy = augment_waveform(clip, RATE_HZ, names, (1, 2, 3))
    assert copy.shape == clip.shape
    assert copy.dtype == np.float32
    assert np.isfinite(copy).all()
    np.testing.assert_array_equal(clip, before)
    if sound == "silence":
        assert not copy.any()


def test_without_augmentations_the_copy_equals_the_clip_in_its_own_memory():
    clip = tone(440.0)
    copy = augment_waveform(clip, RATE_HZ, [], 1)
    np.testing.assert_array_equal(copy, clip)
    assert not np.shares_memory(copy, clip)


def test_the_same_seed_gives_the_same_bytes_in_any_process():
    first = checksum()
    random.seed(1)
    np.random.seed(1)
    augment_waveform(tone(300.0), RATE_HZ, AUGMENTATIONS, 99)
    assert checksum() == first
    assert (
        in_a_fresh_process("from tests.audio.test_augment import checksum; print(checksum())")
        == first
    )


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_another_seed_or_augmentation_gives_other_samples(name):
    clip = tone(440.0)
    copies = [
        augment_waveform(clip, RATE_HZ, [name], seed)
        for seed in ((42, 7, 1), (42, 7, 2), (42, 8, 1), (43, 7, 1), 42)
    ]
    copies += [
        augment_waveform(clip, RATE_HZ, [other], (42, 7, 1))
        for other in AUGMENTATIONS
        if other != name
    ]
    assert len({copy.tobytes() for copy in [clip, *copies]}) == 1 + len(copies)


def test_an_amount_depends_neither_on_the_other_augmentations_nor_on_their_order():
    clip = tone(440.0)
    shifted = augment_waveform(clip, RATE_HZ, ["shift"], 5)
    both = augment_waveform(clip, RATE_HZ, ["shift", "gain"], 5)
    np.testing.assert_array_equal(both == 0, shifted == 0)
    np.testing.assert_array_equal(
        both, augment_waveform(clip, RATE_HZ, ["gain", "shift", "gain"], 5)
    )
    gained = augment_waveform(clip, RATE_HZ, ["gain"], 5)
    assert rms(both) / rms(shifted) == pytest.approx(rms(gained) / rms(clip), rel=1e-5)


def test_the_global_random_generators_are_restored():
    python_state, numpy_state = random.getstate(), np.random.get_state()
    augment_waveform(tone(440.0), RATE_HZ, AUGMENTATIONS, 3)
    assert random.getstate() == python_state
    np.testing.assert_equal(np.random.get_state(), numpy_state)


def test_pitch_shifts_stay_in_range_and_keep_the_level():
    clip = tone(440.0)
    copies = [augment_waveform(clip, RATE_HZ, ["pitch"], seed) for seed in SEEDS]
    semitones = [12 * np.log2(peak_hz(copy) / 440.0) for copy in copies]
    assert max(map(abs, semitones)) < MAX_PITCH_SEMITONES + 0.1
    assert max(semitones) - min(semitones) > 1
    for copy in copies:
        assert rms(copy[RATE_HZ:-RATE_HZ]) == pytest.approx(rms(clip), rel=0.06)  # half a decibel


def test_the_pitch_shift_is_the_one_drawn(monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    expected_hz = 440.0 * 2 ** (MAX_PITCH_SEMITONES / 12)
    assert peak_hz(augment_waveform(tone(440.0), RATE_HZ, ["pitch"], 1)) == pytest.approx(
        expected_hz, rel=0.005
    )


def test_speed_changes_stay_in_range_and_keep_the_pitch():
    moment_s = 2.0
    burst = np.zeros(4 * RATE_HZ, np.float32)
    burst[round(moment_s * RATE_HZ) :][:200] = np.hanning(200)
    times_s = np.arange(burst.shape[0]) / RATE_HZ
    moments_s = [
        np.average(times_s, weights=np.square(augment_waveform(burst, RATE_HZ, ["speed"], seed)))
        for seed in SEEDS
    ]
    speeds = [moment_s / second for second in moments_s]
    assert 1 / MAX_SPEED_CHANGE - 0.01 < min(speeds) < max(speeds) < MAX_SPEED_CHANGE + 0.01
    assert max(speeds) - min(speeds) > 0.1
    assert peak_hz(augment_waveform(tone(440.0), RATE_HZ, ["speed"], SEEDS[0])) == pytest.approx(
        440.0, abs=1
    )


def test_gain_changes_only_the_level():
    clip = tone(440.0)
    for seed in SEEDS:
        copy = augment_waveform(clip, RATE_HZ, ["gain"], seed)
        ratio = rms(copy) / rms(clip)
        assert MIN_GAIN_DB <= 20 * np.log10(ratio) <= MAX_GAIN_DB
        np.testing.assert_allclose(copy, ratio * clip, rtol=1e-5, atol=1e-7)


def test_a_shift_moves_the_clip_fades_its_edge_and_fills_with_silence():
    clip = tone(440.0) + 1  # never zero
    fade = round(SHIFT_FADE_S * RATE_HZ)
    directions = set()
    for seed in SEEDS:
        copy = augment_waveform(clip, RATE_HZ, ["shift"], seed)
        sounding = np.flatnonzero(copy)
        gap = clip.shape[0] - (sounding[-1] - sounding[0] + 1)
        assert 0 < gap <= MAX_SHIFT * clip.shape[0] + 2
        later = bool(copy[0] == 0)
        directions.add(later)
        inward, original = (
            (copy[sounding[0] :], clip) if later else (copy[sounding[-1] :: -1], clip[::-1])
        )
        assert abs(inward[0]) < 0.01
        # The fade's outermost factor is zero, so what sounds begins with the clip's second sample.
        np.testing.assert_array_equal(inward[fade:], original[1 + fade :][: inward.shape[0] - fade])
    assert directions == {True, False}


def test_noise_stays_in_the_range_of_signal_to_noise_ratios():
    clip = tone(440.0)
    ratios_db = []
    for seed in SEEDS:
        noise = augment_waveform(clip, RATE_HZ, ["noise"], seed) - clip
        ratios_db.append(20 * np.log10(rms(clip) / rms(noise)))
    assert MIN_SNR_DB - 0.1 < min(ratios_db) < max(ratios_db) < MAX_SNR_DB + 0.1
    assert max(ratios_db) - min(ratios_db) > 5


def test_an_unknown_augmentation_is_refused_and_the_known_ones_are_named():
    with pytest.raises(
        ValueError, match="'echo' is unknown: it must be one of pitch, speed, gain, shift, noise"
    ):
        augment_waveform(tone(440.0), RATE_HZ, ["gain", "echo"], 1)


def test_importing_the_module_loads_neither_audiomentations_nor_a_framework():
    libraries = {"audiomentations", "librosa", "torch", "tensorflow", "ray"}
    assert (
        in_a_fresh_process(
            f"import sys, freqquest.audio.augment; print(*{libraries} & set(sys.modules))"
        )
        == ""
    )
