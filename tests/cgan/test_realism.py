import json
from dataclasses import replace

import numpy as np
import pytest

from freqquest.cgan.distances import diversity, frechet_distance, kernel_distance
from freqquest.cgan.realism import (
    NOTE,
    ClassifierOutputs,
    RealClips,
    RealismMetrics,
    as_dict,
    floor,
    judge,
    table,
)

CLASSES = ["bark", "drill", "siren"]
NUM_FEATURES = 60


def clips(per_class: int, seed: int, shift: float = 0.0, spread: float = 1.0) -> ClassifierOutputs:
    """Classes lie apart, and vary along few of the features; one clip in eight is not heard as what it is."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    centres = 6 * np.eye(len(CLASSES), NUM_FEATURES)
    scales = 1 / np.arange(1, NUM_FEATURES + 1)
    features = (
        centres[labels] + spread * scales * rng.standard_normal((len(labels), NUM_FEATURES)) + shift
    )
    heard_as = np.where(np.arange(len(labels)) % 8 == 7, (labels + 1) % len(CLASSES), labels)
    return ClassifierOutputs(
        probabilities=np.eye(len(CLASSES))[heard_as],
        features=features.astype(np.float32),
        class_indices=labels,
    )


def rows(heard: ClassifierOutputs, chosen) -> ClassifierOutputs:
    return ClassifierOutputs(
        probabilities=heard.probabilities[chosen],
        features=heard.features[chosen],
        class_indices=heard.class_indices[chosen],
    )


@pytest.fixture(scope="module")
def real() -> RealClips:
    return RealClips(held_out=clips(40, seed=1), training=clips(100, seed=2), classes=CLASSES)


def test_the_frechet_distance_is_that_of_normal_distributions():
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((4, 4))
    a = rng.standard_normal((40_000, 4)) @ mixing
    b = 2 * rng.standard_normal((40_000, 4)) @ mixing + [1, 0, 0, 3]
    # Where one covariance is four times the other, C: |difference of means|^2 + trace(C + 4 C - 2 * 2 C).
    expected = 10 + np.trace(mixing.T @ mixing)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=0.02)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-6)


def test_the_frechet_distance_does_not_hang_on_the_order_of_clips_and_is_never_negative():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((30, 32)), rng.standard_normal((20, 32))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(rng.permutation(a), b))
    assert 0 <= frechet_distance(a, rng.permutation(a)) < 1e-6


def test_with_fewer_clips_than_axes_the_frechet_distance_still_tells_near_from_far():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((16, 32)), rng.standard_normal((180, 32))
    near, far = frechet_distance(a, b), frechet_distance(a + 2, b)
    assert far > 10 * near


def test_the_kernel_distance_is_nothing_on_average_between_equals_and_grows_with_a_shift():
    rng = np.random.default_rng(0)

    def measure(shift: float, num_clips: int = 16) -> float:
        a, b = rng.standard_normal((num_clips, 4)) + shift, rng.standard_normal((100, 4))
        return kernel_distance(a, b, width=3.0)

    among_equals = np.array([measure(0.0) for _ in range(200)])
    assert abs(among_equals.mean()) < 3 * among_equals.std() / np.sqrt(200)
    assert (
        among_equals.min()
        < 0
        < among_equals.max()
        < measure(1.0)
        < measure(3.0)
        < measure(50.0)
        <= 2
    )


def test_the_kernel_distance_takes_part_of_very_many_clips():
    rng = np.random.default_rng(0)
    assert (
        abs(kernel_distance(rng.standard_normal((30_000, 2)), rng.standard_normal((5, 2)), 1.0))
        < 0.5
    )


def test_diversity_is_0_in_a_collapse_and_1_among_real_clips():
    rng = np.random.default_rng(0)
    usual = rng.standard_normal((200, 4))
    assert diversity(np.ones((16, 4)), usual) == 0
    assert diversity(rng.standard_normal((200, 4)), usual) == pytest.approx(1, abs=0.05)
    assert diversity(0.5 * usual, usual) == pytest.approx(0.5)
    assert diversity(usual[:1], usual) is None
    assert diversity(usual, np.ones((5, 4))) is None


def test_real_clips_never_heard_are_judged_as_the_floor_is(real):
    judgment, usual = judge(clips(16, seed=3), real), floor(real, 16)
    assert judgment.num_clips == 48
    assert usual.num_clips == 120
    assert judgment.overall["accuracy"] == pytest.approx(usual.overall["accuracy"]) == 0.875
    assert judgment.overall["frechet"] == pytest.approx(usual.overall["frechet"], abs=0.03)
    assert judgment.overall["kernel"] == pytest.approx(0, abs=0.01)
    assert judgment.overall["diversity"] == pytest.approx(1, abs=0.1)
    assert judgment.overall["nearest_ratio"] == pytest.approx(1, abs=0.2)
    assert usual.overall["nearest_ratio"] == pytest.approx(1, abs=0.02)
    assert judgment.overall["memorized"] < 0.1
    assert usual.overall["memorized"] < 0.05


def test_clips_far_from_real_ones_are_told(real):
    far, usual = judge(clips(16, seed=3, shift=2.0), real), floor(real, 16)
    for label in CLASSES:
        assert far.by_class[label]["frechet"] > 5 * usual.by_class[label]["frechet"]
        assert far.by_class[label]["kernel"] > 0.3
        assert far.by_class[label]["nearest_ratio"] > 2
    assert far.overall["memorized"] == 0


def test_copies_of_training_clips_are_memorized(real):
    training = clips(100, seed=2)
    copies = rows(training, np.arange(0, 300, 6))
    blurred = replace(copies, features=copies.features + np.float32(0.003))
    for heard in (copies, blurred):
        assert judge(heard, real).overall["memorized"] == 1
    assert judge(copies, real).overall["nearest_ratio"] == pytest.approx(0, abs=1e-6)


def test_copies_are_memorized_also_where_held_out_clips_are_copies_themselves():
    training = clips(30, seed=2)
    real = RealClips(
        held_out=rows(training, np.arange(0, 90, 3)), training=training, classes=CLASSES
    )
    copies, others = rows(training, np.arange(1, 90, 3)), clips(16, seed=3)
    assert judge(copies, real).overall["memorized"] == 1
    assert judge(others, real).overall["memorized"] == 0


def test_a_collapsed_class_is_told_by_its_name(real):
    heard = clips(16, seed=3)
    heard.features[heard.class_indices == 1] = heard.features[20]
    judgment = judge(heard, real)
    assert judgment.by_class["drill"]["diversity"] == pytest.approx(0, abs=1e-6)
    assert judgment.by_class["siren"]["diversity"] > 0.8
    assert judgment.by_class["drill"]["frechet"] is not None
    assert judgment.overall["diversity"] == pytest.approx(2 / 3, abs=0.1)


def numbers(judgment: RealismMetrics) -> list[float]:
    values = [
        *judgment.overall.values(),
        *(value for part in judgment.by_class.values() for value in part.values()),
    ]
    return [value for value in values if value is not None]


@pytest.mark.parametrize("per_class", [1, 2, 5])
def test_few_clips_give_no_figure_rather_than_a_wrong_one(per_class):
    few = RealClips(
        held_out=clips(per_class, seed=1), training=clips(per_class, seed=2), classes=CLASSES
    )
    for judgment in (judge(clips(per_class, seed=3), few), floor(few, per_class)):
        assert np.isfinite(numbers(judgment)).all()
        assert (judgment.by_class["bark"]["kernel"] is None) == (per_class < 2)
        assert (judgment.by_class["bark"]["frechet"] is None) == (per_class < 5)
        assert judgment.by_class["bark"]["accuracy"] == 1


def test_a_class_without_held_out_or_generated_clips_has_no_distances(real):
    held_out, generated = clips(40, seed=1), clips(16, seed=3)
    without = RealClips(
        held_out=rows(held_out, held_out.class_indices != 0),
        training=clips(100, seed=2),
        classes=CLASSES,
    )
    judgment = judge(rows(generated, generated.class_indices != 2), without)
    assert judgment.by_class["bark"]["frechet"] is None
    assert judgment.by_class["bark"]["nearest_ratio"] == pytest.approx(1, abs=0.3)
    assert set(judgment.by_class["siren"].values()) == {None}
    assert np.isfinite(numbers(judgment)).all()


def test_identical_real_clips_break_nothing():
    same = replace(clips(5, seed=1), features=np.ones((15, NUM_FEATURES), np.float32))
    real = RealClips(held_out=same, training=same, classes=CLASSES)
    for judgment in (judge(clips(5, seed=3), real), judge(same, real), floor(real, 5)):
        assert np.isfinite(numbers(judgment)).all()


def test_a_judgment_does_not_hang_on_the_features_unit_or_the_order_of_clips(real):
    heard = clips(16, seed=3)
    scaled = RealClips(
        held_out=replace(clips(40, seed=1), features=50 * clips(40, seed=1).features),
        training=replace(clips(100, seed=2), features=50 * clips(100, seed=2).features),
        classes=CLASSES,
    )
    shuffled = rows(heard, np.random.default_rng(0).permutation(48))
    for other in (
        judge(replace(heard, features=50 * heard.features), scaled),
        judge(shuffled, real),
    ):
        np.testing.assert_allclose(
            numbers(other), numbers(judge(heard, real)), rtol=1e-4, atol=1e-6
        )


def test_figures_are_named_for_logs_and_json_and_carry_their_note(real):
    judgment = judge(clips(1, seed=3), real)
    scalars = judgment.scalars()
    assert {"judge/accuracy", "judge/nearest_ratio", "judge_memorized/siren"} <= set(scalars)
    assert "judge_frechet/siren" not in scalars
    content = json.loads(json.dumps(as_dict(judgment)))
    assert content["by_class"]["siren"]["frechet"] is None
    assert content["overall"]["accuracy"] == 1.0
    assert (
        content["note"]
        == NOTE
        == (
            "distances on the features of freqquest's own classifier; not comparable with published FAD"
        )
    )


def test_the_table_has_generated_clips_beside_the_floor(real):
    lines = table(judge(clips(1, seed=3), real), floor(real, 1)).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["overall", *CLASSES]
    assert lines[0].split()[3:] == [
        "accuracy",
        "nearest_ratio",
        "memorized",
        "diversity",
        "frechet",
        "kernel",
    ]
    assert lines[1].split()[1:4] == ["1.000", "|", "0.875"]
    assert lines[2].split()[-6:-3] == ["-", "|", "-"]
    assert lines[-1] == NOTE
