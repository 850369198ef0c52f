from dataclasses import replace

import numpy as np
import pytest

from freqquest.cgan.judged_clips import ClassifierOutputs
from freqquest.cgan.real_clips import RealClips
from freqquest.cgan.realism import RealismMetrics, measure_real_baseline, measure_realism

CLASSES = ["bark", "drill", "siren"]
NUM_FEATURES = 60


def clips(per_class: int, seed: int, shift: float = 0.0, spread: float = 1.0) -> ClassifierOutputs:
    """Return distinct classes that vary along few features; one clip in eight is misclassified."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    centers = 6 * np.eye(len(CLASSES), NUM_FEATURES)
    scales = 1 / np.arange(1, NUM_FEATURES + 1)
    features = (
        centers[labels] + spread * scales * rng.standard_normal((len(labels), NUM_FEATURES)) + shift
    )
    predicted = np.where(np.arange(len(labels)) % 8 == 7, (labels + 1) % len(CLASSES), labels)
    return ClassifierOutputs(
        probabilities=np.eye(len(CLASSES))[predicted],
        features=features.astype(np.float32),
        class_indices=labels,
    )


def rows(outputs: ClassifierOutputs, chosen) -> ClassifierOutputs:
    return ClassifierOutputs(
        probabilities=outputs.probabilities[chosen],
        features=outputs.features[chosen],
        class_indices=outputs.class_indices[chosen],
    )


@pytest.fixture(scope="module")
def real() -> RealClips:
    return RealClips(held_out=clips(40, seed=1), training=clips(100, seed=2), classes=CLASSES)


def test_unseen_real_clips_score_like_the_baseline(real):
    metrics, usual = measure_realism(clips(16, seed=3), real), measure_real_baseline(real, 16)
    assert metrics.num_clips == 48
    assert usual.num_clips == 120
    assert metrics.overall["accuracy"] == pytest.approx(usual.overall["accuracy"]) == 0.875
    assert metrics.overall["frechet"] == pytest.approx(usual.overall["frechet"], abs=0.03)
    assert metrics.overall["kernel"] == pytest.approx(0, abs=0.01)
    assert metrics.overall["diversity"] == pytest.approx(1, abs=0.1)
    assert metrics.overall["nearest_ratio"] == pytest.approx(1, abs=0.2)
    assert usual.overall["nearest_ratio"] == pytest.approx(1, abs=0.02)
    assert metrics.overall["memorized"] < 0.1
    assert usual.overall["memorized"] < 0.05


def test_clips_far_from_real_ones_have_large_distances(real):
    far, usual = (
        measure_realism(clips(16, seed=3, shift=2.0), real),
        measure_real_baseline(real, 16),
    )
    for label in CLASSES:
        assert far.by_class[label]["frechet"] > 5 * usual.by_class[label]["frechet"]
        assert far.by_class[label]["kernel"] > 0.3
        assert far.by_class[label]["nearest_ratio"] > 2
    assert far.overall["memorized"] == 0


def test_copies_of_training_clips_count_as_memorized(real):
    training = clips(100, seed=2)
    copies = rows(training, np.arange(0, 300, 6))
    blurred = replace(copies, features=copies.features + np.float32(0.003))
    for outputs in (copies, blurred):
        assert measure_realism(outputs, real).overall["memorized"] == 1
    assert measure_realism(copies, real).overall["nearest_ratio"] == pytest.approx(0, abs=1e-6)


def test_copies_count_as_memorized_even_if_held_out_clips_are_copies_too():
    training = clips(30, seed=2)
    real = RealClips(
        held_out=rows(training, np.arange(0, 90, 3)), training=training, classes=CLASSES
    )
    copies, others = rows(training, np.arange(1, 90, 3)), clips(16, seed=3)
    assert measure_realism(copies, real).overall["memorized"] == 1
    assert measure_realism(others, real).overall["memorized"] == 0


def test_a_collapsed_class_shows_in_its_metrics(real):
    outputs = clips(16, seed=3)
    outputs.features[outputs.class_indices == 1] = outputs.features[20]
    metrics = measure_realism(outputs, real)
    assert metrics.by_class["drill"]["diversity"] == pytest.approx(0, abs=1e-6)
    assert metrics.by_class["siren"]["diversity"] > 0.8
    assert metrics.by_class["drill"]["frechet"] is not None
    assert metrics.overall["diversity"] == pytest.approx(2 / 3, abs=0.1)


def numbers(metrics: RealismMetrics) -> list[float]:
    values = [
        *metrics.overall.values(),
        *(value for part in metrics.by_class.values() for value in part.values()),
    ]
    return [value for value in values if value is not None]


@pytest.mark.parametrize("per_class", [1, 2, 5])
def test_metrics_of_too_few_clips_are_none(per_class):
    few = RealClips(
        held_out=clips(per_class, seed=1), training=clips(per_class, seed=2), classes=CLASSES
    )
    for metrics in (
        measure_realism(clips(per_class, seed=3), few),
        measure_real_baseline(few, per_class),
    ):
        assert np.isfinite(numbers(metrics)).all()
        assert (metrics.by_class["bark"]["kernel"] is None) == (per_class < 2)
        assert (metrics.by_class["bark"]["frechet"] is None) == (per_class < 5)
        assert metrics.by_class["bark"]["accuracy"] == 1


def test_a_class_without_held_out_or_generated_clips_has_no_distances(real):
    held_out, generated = clips(40, seed=1), clips(16, seed=3)
    without = RealClips(
        held_out=rows(held_out, held_out.class_indices != 0),
        training=clips(100, seed=2),
        classes=CLASSES,
    )
    metrics = measure_realism(rows(generated, generated.class_indices != 2), without)
    assert metrics.by_class["bark"]["frechet"] is None
    assert metrics.by_class["bark"]["nearest_ratio"] == pytest.approx(1, abs=0.3)
    assert set(metrics.by_class["siren"].values()) == {None}
    assert np.isfinite(numbers(metrics)).all()


def test_identical_real_clips_give_finite_metrics():
    same = replace(clips(5, seed=1), features=np.ones((15, NUM_FEATURES), np.float32))
    real = RealClips(held_out=same, training=same, classes=CLASSES)
    for metrics in (
        measure_realism(clips(5, seed=3), real),
        measure_realism(same, real),
        measure_real_baseline(real, 5),
    ):
        assert np.isfinite(numbers(metrics)).all()


def test_metrics_ignore_the_features_scale_and_the_order_of_clips(real):
    outputs = clips(16, seed=3)
    scaled = RealClips(
        held_out=replace(clips(40, seed=1), features=50 * clips(40, seed=1).features),
        training=replace(clips(100, seed=2), features=50 * clips(100, seed=2).features),
        classes=CLASSES,
    )
    shuffled = rows(outputs, np.random.default_rng(0).permutation(48))
    for other in (
        measure_realism(replace(outputs, features=50 * outputs.features), scaled),
        measure_realism(shuffled, real),
    ):
        np.testing.assert_allclose(
            numbers(other), numbers(measure_realism(outputs, real)), rtol=1e-4, atol=1e-6
        )


def test_a_real_clip_of_several_classes_counts_once_in_the_distances_over_all_classes(real):
    held_out, training = clips(16, seed=1), clips(16, seed=2)

    def repeated(outputs):
        rows = np.repeat(np.arange(48), 3)
        return ClassifierOutputs(
            probabilities=outputs.probabilities[rows],
            features=outputs.features[rows],
            class_indices=np.tile(np.arange(3), 48),
            clip_numbers=rows,
        )

    of_all = RealClips(repeated(held_out), repeated(training), CLASSES)
    assert len(of_all.held_out.of_class(0)) == len(of_all.held_out.distinct()) == 48
    generated = clips(16, seed=3)
    distance = measure_realism(generated, of_all).overall["kernel"]
    once = measure_realism(generated, RealClips(held_out, training, CLASSES)).overall["kernel"]
    assert distance == pytest.approx(once, rel=0.05)


def test_with_thresholds_a_clip_is_recognized_if_its_own_class_reaches_them(real):
    outputs = clips(16, seed=3)
    probabilities = np.tile([0.9, 0.3, 0.6], (48, 1))
    outputs = replace(outputs, probabilities=probabilities, thresholds=np.array([0.5, 0.2, 0.7]))
    metrics = measure_realism(outputs, real)
    accuracies = [metrics.by_class[label]["accuracy"] for label in CLASSES]
    assert accuracies == [1, 1, 0]
    without = measure_realism(replace(outputs, thresholds=None), real)
    assert [without.by_class[label]["accuracy"] for label in CLASSES] == [1, 0, 0]


def test_unseen_clips_copy_and_cover_as_real_ones_do_and_far_clips_do_neither(real):
    usual, unseen = measure_real_baseline(real, 32), measure_realism(clips(32, seed=3), real)
    assert usual.overall["copying"] == 0.5
    assert unseen.overall["copying"] == pytest.approx(0.5, abs=0.1)
    assert unseen.overall["density"] == pytest.approx(usual.overall["density"], abs=0.2)
    assert unseen.overall["coverage"] == pytest.approx(usual.overall["coverage"], abs=0.1)
    copies = measure_realism(rows(clips(100, seed=2), np.arange(0, 300, 5)), real)
    assert copies.overall["copying"] == 1
    far = measure_realism(clips(32, seed=3, shift=2.0), real)
    assert far.overall["copying"] == far.overall["coverage"] == far.overall["density"] == 0


def test_all_clips_together_have_the_mean_of_the_classes_coverage(real):
    outputs = clips(32, seed=3)
    outputs.features[outputs.class_indices == 1] += 5
    metrics = measure_realism(outputs, real)
    by_class = [metrics.by_class[label]["coverage"] for label in CLASSES]
    assert by_class[1] == 0
    assert metrics.overall["coverage"] == pytest.approx(np.mean(by_class))
