import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from freqquest.audio.spectrogram import CGAN_VIEW, log_mel
from freqquest.cgan import levels
from freqquest.cgan.generator_file import generator_bytes, read_generator
from freqquest.cgan.levels import class_gains_db, levels_db, median_levels_db
from tests.cgan.conftest import card, loud_weights


def spectrogram(gain_db):
    noise = np.random.default_rng(0).normal(0, 0.05, 88_200)
    return log_mel((noise * 10 ** (gain_db / 20)).astype(np.float32), CGAN_VIEW, 22_050)


def test_levels_differ_as_those_of_the_waveforms():
    quiet, loud = levels_db(torch.from_numpy(np.stack([spectrogram(-14), spectrogram(6)])))
    assert loud - quiet == pytest.approx(20, abs=0.01)


def test_the_level_of_silence_is_finite():
    assert levels_db(torch.zeros(1, 128, 512)).tolist() == pytest.approx([-90])


def test_a_class_has_the_median_level_of_its_original_clips(monkeypatch):
    shards = [
        SimpleNamespace(
            spectrograms=np.stack([spectrogram(gain) for gain in gains]).astype(np.float16),
            class_indices=np.zeros(len(gains), int),
            labels=np.array(labels, bool),
        )
        for gains, labels in (
            ([0, 10], [[1, 0], [1, 1]]),  # the second has both labels
            ([40, 4, 20], [[1, 0], [1, 0], [0, 1]]),  # the first is an augmented copy
        )
    ]
    augmentations = ["none", "none", "noise", "none", "none"]
    assert levels.NOT_AUGMENTED == "none"
    rows = pd.DataFrame({"augmentation": augmentations})
    monkeypatch.setattr(levels, "read_rows", lambda *_: rows)
    monkeypatch.setattr(
        levels, "SplitReader", lambda *_: SimpleNamespace(shards=lambda: iter(shards))
    )
    reference = float(levels_db(torch.from_numpy(spectrogram(0))[None]))
    medians = np.array(median_levels_db("dataset", "manifest")) - reference
    np.testing.assert_allclose(medians, [4, 15], atol=0.1)


@pytest.fixture
def few_clips(monkeypatch):
    monkeypatch.setattr(levels, "_NUM_GENERATED", 8)
    monkeypatch.setattr(levels, "_CLIPS_AT_ONCE", 8)


def with_gains(gains_db):
    with_them = dataclasses.replace(card("default"), gains_db=gains_db)
    return read_generator(generator_bytes(loud_weights("default"), with_them))


def test_with_its_gains_a_generator_has_the_wanted_levels(few_clips, monkeypatch):
    monkeypatch.setattr(levels, "_MAX_GAIN_DB", 90.0)  # this one has learned nothing
    gains = class_gains_db(with_gains(None), [30.0, 20.0], seed=0)
    assert min(np.abs(gains)) > 1
    assert class_gains_db(with_gains(gains), [30.0, 20.0], seed=0) == pytest.approx([0, 0], abs=0.1)


def test_gains_are_limited(few_clips):
    assert class_gains_db(with_gains(None), [100.0, -100.0], seed=0) == [12.0, -12.0]
