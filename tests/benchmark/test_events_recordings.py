import itertools

import numpy as np
import pytest

from freqquest.benchmark.events_recordings import Sound, make_recordings, noise_only

RATE_HZ = 8_000


def make_sounds(num_sources, clips_per_source):
    """Clips of a constant, each of another length."""
    return [
        Sound(
            waveform=np.full(RATE_HZ + 100 * source + clip, 0.3),
            label="ab"[source % 2],
            source=f"source {source}",
        )
        for source, clip in itertools.product(range(num_sources), range(clips_per_source))
    ]


def make_all(sounds, seed=0):
    return list(make_recordings(sounds, RATE_HZ, seed))


def samples(recording, row):
    return recording.waveform[round(row.start_s * RATE_HZ) : round(row.end_s * RATE_HZ)]


def test_references_are_where_the_clips_are():
    sounds = make_sounds(num_sources=9, clips_per_source=6)
    by_length = {len(sound.waveform): sound for sound in sounds}
    used = []
    for recording in make_all(sounds):
        assert set(recording.references["path"]) == {recording.name}
        for row in recording.references.itertuples():
            inside = samples(recording, row)
            used.append(len(inside))
            assert by_length[len(inside)].label == row.label
            # Beside it is nothing but noise, whose level is at most -35 dB.
            assert inside.min() > 0.2
            assert abs(recording.waveform[round(row.start_s * RATE_HZ) - 1]) < 0.1
            assert abs(recording.waveform[round(row.end_s * RATE_HZ)]) < 0.1
    assert sorted(used) == sorted(by_length), "a clip is missing or repeated"


def test_the_gaps_have_their_lengths_and_the_noise_its_level():
    recordings = make_all(make_sounds(num_sources=14, clips_per_source=6))
    assert [len(recording.references) for recording in recordings] == [28, 28, 28]
    assert [recording.color for recording in recordings] == ["white", "pink", "brown"]
    for recording in recordings:
        duration_s = len(recording.waveform) / RATE_HZ
        gaps = noise_only(recording.references, {recording.name: duration_s})
        lengths = gaps["end_s"] - gaps["start_s"]
        assert len(gaps) == len(recording.references) + 1
        assert lengths.between(1.999, 8.001).all()
        assert lengths.std() > 1
        noise = np.concatenate([samples(recording, row) for row in gaps.itertuples()])
        level_db = 10 * np.log10(np.mean(np.square(noise.astype(float))))
        assert -60 <= recording.level_db <= -35
        # Brown noise changes slowly, so that the gaps alone may differ from the whole.
        assert level_db == pytest.approx(recording.level_db, abs=1.0)


def test_a_seed_decides_everything():
    sounds = make_sounds(num_sources=2, clips_per_source=3)
    (first,), (again,), (other,) = make_all(sounds), make_all(sounds), make_all(sounds, seed=1)
    assert np.array_equal(first.waveform, again.waveform)
    assert first.references.equals(again.references)
    assert len(first.waveform) != len(other.waveform)
    assert not first.references.equals(other.references)


def test_no_source_dominates_and_loud_sounds_stay_within_full_scale():
    loud = [Sound(waveform=np.ones(RATE_HZ), label="a", source="long")] * 40
    (recording,) = make_all(loud + make_sounds(num_sources=1, clips_per_source=1))
    assert len(recording.references) == 7
    assert np.abs(recording.waveform).max() == 1
