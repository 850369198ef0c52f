from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from freqquest.cnn.heads import Head, build_head, fit_head, fit_on_split, mean_head
from freqquest.cnn.labeled_clips import all_clips, cross_validation, dataset_split
from freqquest.cnn.network import predict_probabilities
from freqquest.dataset.clip_inputs import Inputs
from tests.cnn.conftest import make_clips, make_clips_of_several_labels, with_vectors


def held_out_score(clips):
    score = []
    for split in cross_validation(clips, 2, seed=0):
        labels = clips.labels[split.validation]
        score.append(clips.score.compute(fit_on_split(clips, split).probabilities, labels))
    return np.mean(score)


@pytest.mark.parametrize("make", [make_clips, make_clips_of_several_labels])
def test_a_head_learns_classes_that_the_vectors_tell_apart_and_no_others(make):
    clips = make(num_recordings=24)
    assert held_out_score(with_vectors(clips, separation=8.0)) > 0.98
    assert held_out_score(with_vectors(clips, separation=0.0)) < 0.8


def test_each_label_of_several_has_a_probability_of_its_own():
    clips = with_vectors(make_clips_of_several_labels(), separation=8.0)
    probabilities = fit_head(clips, np.arange(32)).probabilities(clips.vectors)
    np.testing.assert_array_equal(probabilities > 0.5, clips.labels)
    assert clips.labels.all(axis=1).any()


def test_three_classes_and_one_that_no_training_clip_has():
    clips = make_clips(num_recordings=24)
    labels = np.eye(4, dtype=bool)[np.arange(96) // 4 % 3]
    clips = with_vectors(replace(clips, labels=labels, classes=tuple("abcd")), separation=8.0)
    probabilities = fit_head(clips, np.arange(96)).probabilities(clips.vectors)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), labels.argmax(axis=1))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert probabilities[:, 3].max() < 1e-3


@pytest.mark.parametrize("num_recordings", [1, 2])
def test_too_few_recordings_to_choose_a_strength_still_give_a_head(num_recordings):
    clips = with_vectors(make_clips(num_recordings=num_recordings), separation=8.0)
    probabilities = fit_head(clips, all_clips(clips).train).probabilities(clips.vectors)
    assert (probabilities.argmax(axis=1) == clips.class_indices).all()


def test_a_long_recording_counts_no_more_than_a_short_one():
    clips = with_vectors(make_clips(), separation=1.0)
    rows = np.arange(32)
    first = np.flatnonzero(clips.recordings == "0")
    with_copies = np.concatenate([rows, np.repeat(first, 20)])

    def change(of_clips):
        heads = [fit_head(of_clips, some) for some in (rows, with_copies)]
        before, after = (head.probabilities(clips.vectors) for head in heads)
        return np.abs(after - before).max()

    as_recordings_of_their_own = replace(
        clips, recordings=pd.Categorical(np.arange(32).astype(str))
    )
    assert change(clips) < 0.1 < change(as_recordings_of_their_own)


def test_the_scale_of_the_vectors_does_not_matter():
    clips = with_vectors(make_clips(), separation=1.0)
    scaled = replace(clips, vectors=clips.vectors * 100 + 7)
    split = dataset_split(clips)
    np.testing.assert_allclose(
        fit_on_split(scaled, split).probabilities,
        fit_on_split(clips, split).probabilities,
        atol=0.01,
    )


@pytest.mark.parametrize("several", [False, True])
def test_the_network_of_a_head_gives_its_probabilities(several):
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(6, 3)), rng.normal(size=3), several)
    vectors = rng.normal(size=(5, 6)).astype(np.float32)
    inputs = Inputs(np.zeros((5, 2, 2), np.float32), vectors)
    found = predict_probabilities(build_head(head), inputs)
    np.testing.assert_allclose(found, head.probabilities(vectors), atol=1e-5)


def test_a_head_is_divided_by_a_temperature_and_heads_are_averaged_by_their_logits():
    rng = np.random.default_rng(0)
    heads = [Head(rng.normal(size=(6, 3)), rng.normal(size=3), True) for _ in range(2)]
    vectors = rng.normal(size=(5, 6))
    logits = [vectors @ head.kernel + head.bias for head in heads]

    def logits_of(head):
        probabilities = head.probabilities(vectors)
        return np.log(probabilities / (1 - probabilities))

    np.testing.assert_allclose(logits_of(heads[0].divided(2.0)), logits[0] / 2)
    of_classes = heads[0].divided([1.0, 2.0, 4.0])
    np.testing.assert_allclose(logits_of(of_classes), logits[0] / [1.0, 2.0, 4.0])
    np.testing.assert_allclose(logits_of(mean_head(heads)), np.mean(logits, axis=0))
