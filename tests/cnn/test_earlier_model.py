import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from freqquest.cnn.config import PRESETS
from freqquest.cnn.earlier_model import EarlierModel, compare_classes, find_earlier_model
from freqquest.cnn.model_card import ALL_CLIPS, UNKNOWN_START
from freqquest.cnn.model_file import add_card
from freqquest.dataset.manifest import load_manifest
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.cnn.conftest import make_card, make_clips_of_several_labels


@pytest.fixture
def manifest(dataset_dir):
    return load_manifest(locate(dataset_dir))


@pytest.fixture
def find(dataset_dir, manifest, tmp_path):
    """A function that saves a model with a card, and finds it."""

    def save_and_find(**fields):
        card = dataclasses.replace(
            make_card(["low", "middle"], manifest.normalization["cnn"]),
            cnn_config=CONFIG,
            clip=manifest.clip,
            view=manifest.views["cnn"],
        )
        card = dataclasses.replace(card, **fields)
        model_file = locate(tmp_path / "best_model.keras")
        model_file.write_bytes(add_card(EMPTY_ZIP, card))
        return find_earlier_model(str(model_file), locate(dataset_dir), manifest)

    return save_and_find


CONFIG = {"num_filters": 4, "learning_rate": 0.001}
EMPTY_ZIP = b"PK\x05\x06" + bytes(18)


def leave_trials(run, networks=("model_0.keras",), **changes):
    """Leave what a finished search does beside its model."""
    of_model = {"cnn_config": CONFIG, "accuracy": 0.5, "split": "unseen recordings"}
    metrics = {"cnn": {"trial": "first", "num_clips": 4, **of_model, **changes}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    checkpoint = run / "trials" / "first" / "checkpoint_000000"
    checkpoint.mkdir(parents=True)
    for name in networks:
        (checkpoint / name).touch()
    return checkpoint


def test_a_model_of_other_clips_is_used_as_it_is_with_smaller_steps(find, manifest):
    model = find(trained_on=ALL_CLIPS)
    assert not model.is_unheard
    assert model.search_network is None
    assert model.cnn_config.num_filters == 4
    assert model.cnn_config.learning_rate == pytest.approx(0.0006)


def test_an_average_of_an_earlier_version_is_that_of_today(find):
    for of_then, of_today in ((0.99, PRESETS["default"].weight_average), (0.0, 0.0)):
        model = find(cnn_config=CONFIG | {"weight_average": of_then})
        assert model.cnn_config.weight_average == of_today


def test_a_learning_rate_that_is_small_already_stays(find):
    model = find(cnn_config=CONFIG | {"learning_rate": 0.0001})
    assert model.cnn_config.learning_rate == 0.0001


@pytest.mark.parametrize(
    "fields", [{"num_extra_clips": 3}, {"trained_on": f"the training clips{UNKNOWN_START}"}]
)
def test_a_model_that_heard_clips_from_elsewhere_may_have_heard_any(find, manifest, fields):
    assert not find(dataset_sha256=manifest.content_sha256, **fields).is_unheard


def test_the_networks_keep_the_normalization_that_they_know(find, manifest):
    own = dataclasses.replace(manifest.normalization["cnn"], mean=-1.0)
    adopted = find(normalization=own).adopt(manifest)
    assert adopted.normalization["cnn"] == own
    assert adopted.normalization["cgan"] == manifest.normalization["cgan"]
    assert adopted.content_sha256 == manifest.content_sha256


def test_trials_start_from_the_network_of_the_search_if_the_model_has_heard_their_clips(
    find, manifest, tmp_path
):
    checkpoint = leave_trials(tmp_path)
    heard = find(dataset_sha256=manifest.content_sha256, trained_on=ALL_CLIPS)
    assert heard.is_unheard
    assert heard.search_network == locate(checkpoint / "model_0.keras")
    unheard = find(dataset_sha256=manifest.content_sha256, trained_on="the training clips")
    assert unheard.is_unheard
    assert unheard.search_network is None


def test_a_dataset_to_which_clips_were_added_knows_its_earlier_models(
    find, manifest, dataset_dir, tmp_path
):
    copy = tmp_path / "dataset"
    copy.mkdir()
    for shards in (manifest.shards[:1], manifest.shards):
        dataclasses.replace(manifest, shards=shards).save(locate(copy))
    assert (copy / "manifest.1.json").exists()
    earlier = dataclasses.replace(manifest, shards=manifest.shards[:1]).content_sha256
    find(dataset_sha256=earlier)
    model = find_earlier_model(str(tmp_path / "best_model.keras"), locate(copy), manifest)
    assert model.is_unheard


@pytest.mark.parametrize(
    "left",
    [
        None,
        {"networks": ()},
        {"networks": ("model_0.keras", "model_1.keras")},
        {"accuracy": 0.6},  # of another model
        {"cnn_config": {"num_filters": 8}},
    ],
)
def test_a_model_that_has_heard_the_clips_is_refused_without_the_network_of_its_search(
    find, manifest, tmp_path, left
):
    if left is not None:
        leave_trials(tmp_path, **left)
    with pytest.raises(UserError, match=r"was trained on the validation clips .* `num_members=0`"):
        find(dataset_sha256=manifest.content_sha256, trained_on=ALL_CLIPS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cnn_config": {}}, "has no network on spectrograms to train on: leave it out"),
        ({"classes": ["dog", "cat"]}, "knows dog, cat, none of which is a class of the dataset"),
        ({"thresholds": [0.5, 0.5]}, "clips with several labels each, .* have one label"),
    ],
)
def test_a_model_that_does_not_suit_is_refused(find, fields, message):
    with pytest.raises(UserError, match=f"`start_from=.*best_model.keras` {message}|{message}"):
        find(**fields)


def test_a_model_of_other_spectrograms_is_refused_by_name(find, manifest):
    view = dataclasses.replace(manifest.views["cnn"], num_mels=40)
    with pytest.raises(
        UserError, match="num_mels 40 instead of 128: make the dataset with its settings, or leave"
    ):
        find(view=view)


def earlier_model(clips, classes):
    return EarlierModel(
        file=locate("model.keras"),
        card=make_card(classes, clips.normalization),
        search_network=None,
        is_unheard=False,
        sha256="",
    )


def replace_labels(clips, rows):
    """Return clips of which none of some rows is a click."""
    labels = clips.labels.copy()
    labels[rows] = [True, False]
    return dataclasses.replace(clips, labels=labels)


def test_known_classes_are_compared_before_and_after_on_their_own_clips(clips):
    rows = np.array([0, 4, 1, 5])  # tones, clicks, tones, clicks
    tones, clicks = [0.9, 0.1], [0.1, 0.9]
    best = SimpleNamespace(predictions=(rows, np.array([clicks, clicks, tones, tones])))
    before = np.array([[0.0, 1.0]] * 4)  # the model knows clicks alone
    metrics = compare_classes(earlier_model(clips, ["clicks", "hum"]), best, before, clips)
    assert metrics["by_class"] == {"clicks": {"before": 1.0, "after": 0.5, "num_clips": 2}}
    nobody = compare_classes(
        earlier_model(clips, ["clicks"]), best, before, replace_labels(clips, rows)
    )
    assert nobody["by_class"] == {"clicks": {"before": None, "after": None, "num_clips": 0}}
    assert (metrics["before"], metrics["after"], metrics["num_clips"]) == (1.0, 0.5, 2)
    assert metrics["new_classes"] == ["tones"]
    assert metrics["dropped_classes"] == ["hum"]


def test_classes_of_several_labels_are_compared_by_average_precision():
    clips = make_clips_of_several_labels()
    rows = np.flatnonzero(clips.is_validation)
    truth = clips.labels[rows].astype(float)
    best = SimpleNamespace(predictions=(rows, truth))
    wrong = truth * [0.0, 1.0]
    metrics = compare_classes(earlier_model(clips, ["tones", "clicks"]), best, wrong, clips)
    assert metrics["by_class"]["clicks"]["before"] == 1.0
    assert metrics["by_class"]["tones"]["before"] < 1.0
    assert metrics["by_class"]["tones"]["after"] == metrics["after"] == 1.0
