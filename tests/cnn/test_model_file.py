import dataclasses
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from freqquest.cnn.abstention import CoverageCurve, Point
from freqquest.cnn.average import average
from freqquest.cnn.config import PRESETS
from freqquest.cnn.heads import Head, build_head
from freqquest.cnn.model_card import ALL_CLIPS
from freqquest.cnn.model_file import add_card, load_model, read_card, to_bytes
from freqquest.cnn.network import build_model
from freqquest.embedding.config import EmbeddingConfig
from freqquest.embedding.network import EmbeddingNetwork, read_network
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.cnn.conftest import CLIP_NORMALIZATION, make_card
from tests.embedding.tiny_networks import write_onnx
from tests.sizes import ALL_SIZES

CARD = make_card(["a", "b"])
YAMNET = EmbeddingConfig(
    name="yamnet.tflite",
    sha256="0",
    sample_rate_hz=16_000,
    tensor="vector",
    num_samples=None,
    num_values=3,
)
VERSION_3 = Path(__file__).parent / "model_card_version_3.json"
"""Card of the default configuration, as freqquest wrote it when shifts were counted in bands."""


def write_archive(path, card):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("freqquest.json", json.dumps(card))
    return locate(path)


def test_a_saved_model_carries_its_card_and_loads_in_safe_mode(tmp_path):
    members = []
    for normalization in ("clip", "band"):
        keras.backend.clear_session()  # as in separate processes, so that layer names repeat
        config = replace(PRESETS["default"], normalization=normalization, pooling="average_max")
        members.append(build_model(config, 5, (128, 173), CLIP_NORMALIZATION))
    model = average(members, temperature=0.5)
    model_file = locate(tmp_path / "best_model.keras")
    model_file.write_bytes(add_card(to_bytes(model), CARD))
    assert read_card(model_file) == CARD
    clips = np.random.default_rng(0).uniform(-80, 0, (3, 128, 173, 1)).astype(np.float32)
    np.testing.assert_allclose(
        np.array(load_model(model_file)(clips)), np.array(model(clips)), atol=1e-6
    )
    assert keras.models.load_model(model_file.path, safe_mode=True) is not None


def test_a_model_with_vectors_carries_its_pretrained_network(tmp_path):
    network_file = locate(write_onnx(tmp_path / "tiny.onnx"))
    embedding, network = read_network(network_file, 16_000, "vector")
    card = replace(CARD, embedding=embedding)
    head = build_head(Head(np.ones((3, 2)), np.zeros(2), False))
    model_file = locate(tmp_path / "best_model.keras")
    model_file.write_bytes(add_card(to_bytes(average([head], 1.0)), card, network_file))
    network_file.remove_file()
    assert read_card(model_file) == card
    assert keras.models.load_model(model_file.path, safe_mode=True).input_shape == (None, 3)
    with zipfile.ZipFile(model_file.path) as archive:
        assert archive.read("embedding.onnx") == network
    waveform = np.random.default_rng(0).normal(0, 0.1, 88_200).astype(np.float32)
    (vector,) = card.analysis(model_file).analyze(waveform).vectors
    expected = EmbeddingNetwork(embedding, network).embed(waveform, 22_050)
    np.testing.assert_array_equal(vector, expected)


def test_a_model_whose_networks_packages_are_missing_is_refused_before_it_is_used(monkeypatch):
    monkeypatch.setattr("freqquest.embedding.runtime.find_spec", lambda name: None)
    card = replace(CARD, embedding=YAMNET)
    with pytest.raises(UserError, match=r"yamnet.tflite` needs packages that are not installed"):
        card.analysis(locate("best_model.keras"))


def test_a_model_of_spectrograms_alone_has_no_field_that_an_earlier_freqquest_would_refuse(
    tmp_path,
):
    model_file = tmp_path / "best_model.keras"
    write_archive(model_file, {})
    model_file.write_bytes(add_card(model_file.read_bytes(), CARD))
    with zipfile.ZipFile(model_file) as archive:
        assert "embedding" not in archive.read("freqquest.json").decode()


def test_what_cannot_use_a_pretrained_network_refuses_it_by_name():
    CARD.require_no_embedding("`model=a.keras`", "the export cannot convert")
    with pytest.raises(
        UserError,
        match="`model=a.keras` uses the network yamnet.tflite, which the export cannot convert: "
        "give a model trained with `classifier=cnn`",
    ):
        replace(CARD, embedding=YAMNET).require_no_embedding(
            "`model=a.keras`", "the export cannot convert"
        )


def test_code_inside_a_model_is_refused(tmp_path):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Lambda(lambda x: x)])
    model_file = locate(tmp_path / "evil.keras")
    model_file.write_bytes(add_card(to_bytes(model), CARD))
    with pytest.raises(ValueError, match=r"[Ll]ambda"):
        load_model(model_file)


def test_a_card_of_version_2_is_read_with_its_new_names(tmp_path):
    card = dataclasses.asdict(CARD) | {"version": 2}
    card["trained_on"] = ALL_CLIPS.replace("labeled", "labelled")
    del card["cnn_config"]
    card["normalisation"] = card.pop("normalization")
    card["network"] = {"network": "plain", "normalisation": "band", "equaliser_db": 6.0}
    settings = {"network": "plain", "normalization": "band", "equalizer_db": 6.0}
    read = read_card(write_archive(tmp_path / "old.keras", card))
    assert read == replace(CARD, cnn_config=settings, trained_on=ALL_CLIPS)
    assert read.has_heard_validation_clips


def test_a_stored_card_of_version_3_is_read_with_its_shift_as_a_share_of_the_bands(tmp_path):
    stored = json.loads(VERSION_3.read_text())
    assert stored["cnn_config"]["band_shift"] == 3
    read = read_card(write_archive(tmp_path / "old.keras", stored))
    of_then = {"weight_average": 0.99}  # a momentum
    assert read.cnn_config == dataclasses.asdict(PRESETS["default"]) | of_then
    assert read.version == 4


def test_other_versions_are_refused_by_name(tmp_path):
    for version in (1, 99):
        with pytest.raises(UserError, match=f"version {version}, but this freqquest reads 2 to 4"):
            read_card(write_archive(tmp_path / "other.keras", {"version": version}))


def test_files_that_are_not_models_are_refused(tmp_path):
    with pytest.raises(
        UserError, match="`model=.*nowhere.keras` does not exist: give the best_model.keras of"
    ):
        read_card(locate(tmp_path / "nowhere.keras"))
    junk = locate(tmp_path / "junk.keras")
    junk.write_bytes(b"junk")
    with pytest.raises(UserError, match="`judge=.*junk.keras` is not a readable model file"):
        read_card(junk, "judge")
    with pytest.raises(UserError, match="is not a readable model file"):
        read_card(write_archive(tmp_path / "empty.keras", {"version": 3}))
    with zipfile.ZipFile(tmp_path / "latin.keras", "w") as archive:
        archive.writestr("freqquest.json", '{"classes": ["Straße"]}'.encode("latin-1"))
    with pytest.raises(UserError, match="is not a readable model file"):
        read_card(locate(tmp_path / "latin.keras"))
    card = dataclasses.asdict(CARD)
    card["view"]["hop_length"] = 0
    with pytest.raises(UserError, match="is not a readable model file .`hop_length=0` must be"):
        read_card(write_archive(tmp_path / "invalid.keras", card))


@ALL_SIZES
def test_waveforms_of_any_rate_become_inputs_of_any_size(size):
    view = size.views["cnn"]
    card = replace(CARD, clip=size.clip, view=view)
    for num_samples in (7, 60_000):
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, num_samples).astype(np.float32)
        spectrogram = card.spectrogram(noise, 11_025)
        assert spectrogram.shape == (view.num_mels, view.num_frames)
        assert spectrogram.max() == 0
        assert spectrogram.min() >= -80


def test_a_file_whose_parts_inflate_is_refused_without_reading_them(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("freqquest.json", b" " * 2**26)
    problem = "its part freqquest.json inflates to 67,108,864 bytes"
    with pytest.raises(UserError, match=problem):
        read_card(locate(tmp_path / "m.keras"))
    content = bytearray((tmp_path / "m.keras").read_bytes())
    at = content.index(b"PK\1\2") + 20
    content[at : at + 4] = b"\xff\xff\xff\x7f"  # as if it were hardly compressed
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(UserError, match=problem):
        read_card(locate(tmp_path / "m.keras"))


def test_a_file_that_keras_refuses_is_one_line(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"no network")
    with pytest.raises(UserError, match="m.keras cannot be loaded .*: give the best_model.keras"):
        load_model(locate(tmp_path / "m.keras"))


TINY = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(2)])
SEVERAL = replace(CARD, temperature=[0.5, 2.0], thresholds=[0.25, 0.75])


def test_a_card_of_several_labels_is_read_as_it_was_and_others_name_no_thresholds(tmp_path):
    for card in (SEVERAL, CARD):
        file = locate(tmp_path / "m.keras")
        file.write_bytes(add_card(to_bytes(TINY), card))
        assert read_card(file) == card
        with zipfile.ZipFile(tmp_path / "m.keras") as archive:
            names = json.loads(archive.read("freqquest.json")).keys()
        assert ("thresholds" in names) == card.has_several_labels == (card is SEVERAL)


@pytest.mark.parametrize("name", ["thresholds", "detection_thresholds"])
def test_thresholds_of_other_classes_are_refused(tmp_path, name):
    card = dataclasses.asdict(CARD) | {name: [0.5]}
    with pytest.raises(UserError, match=f"readable model file .1 {name} must be as many as its"):
        read_card(write_archive(tmp_path / "m.keras", card))


def test_thresholds_of_detection_are_read_and_do_not_change_what_earlier_versions_read(tmp_path):
    detecting = replace(CARD, detection_thresholds=[0.25, 0.75])
    cards = []
    for card in (CARD, detecting):
        file = locate(tmp_path / "m.keras")
        file.write_bytes(add_card(to_bytes(TINY), card))
        assert read_card(file) == card
        with zipfile.ZipFile(tmp_path / "m.keras") as archive:
            cards.append(archive.read("freqquest.json"))
    assert cards[0] == cards[1]


def test_a_background_class_is_in_the_card_only_if_there_is_one(tmp_path):
    for card in (CARD, replace(CARD, background_label="b")):
        file = locate(tmp_path / "m.keras")
        file.write_bytes(add_card(to_bytes(TINY), card))
        assert read_card(file) == card
        with zipfile.ZipFile(tmp_path / "m.keras") as archive:
            names = json.loads(archive.read("freqquest.json")).keys()
        assert ("background_label" in names) == (card is not CARD)
    unknown = dataclasses.asdict(CARD) | {"background_label": "c"}
    with pytest.raises(UserError, match="background_label=c must be one of its classes"):
        read_card(write_archive(tmp_path / "m.keras", unknown))


def test_the_background_is_never_the_label_of_a_clip():
    probabilities = np.array([[0.2, 0.3, 0.5], [0.1, 0.05, 0.85]])
    card = replace(make_card(["a", "b", "wind"]), background_label="wind")
    assert card.sound_classes == ["a", "b"]
    assert card.predict(probabilities)[0].tolist() == ["b", "a"]
    assert card.predict(probabilities)[1].tolist() == [0.3, 0.1]
    several = replace(card, temperature=[1.0] * 3, thresholds=[0.3, 0.3, 0.4])
    assert several.predict(probabilities)[0].tolist() == ["b", "a"]
    assert several.predict(np.array([[0.4, 0.5, 0.9]]))[0].tolist() == ["a;b"]


CURVE = CoverageCurve([Point(0.8, 0.5, 1.0), Point(0.4, 0.9, 0.9), Point(0.1, 1.0, 0.7)])


def test_a_model_reads_its_curve_again_and_chooses_a_confidence_by_it(tmp_path):
    card = replace(CARD, coverage_curve=CURVE)
    file = locate(tmp_path / "m.keras")
    file.write_bytes(add_card(to_bytes(TINY), card))
    assert read_card(file) == card
    assert card.unknown_below(None) == 0.8
    assert card.unknown_below(0.9) == 0.4
    with pytest.raises(UserError, match="`unknown` needs a model that carries its precision on"):
        CARD.unknown_below(0.9)
    with pytest.raises(UserError, match="`unknown` needs a model without a class unknown: rename"):
        replace(card, classes=["a", "unknown"]).unknown_below(0.9)
    replace(card, classes=["a", "unknown"], background_label="unknown").unknown_below(0.9)


def test_clips_below_the_confidence_or_taken_for_background_are_unknown():
    probabilities = np.array([[0.6, 0.1, 0.3], [0.45, 0.3, 0.25], [0.1, 0.3, 0.6]])
    card = make_card(["a", "b", "wind"])
    assert card.predict(probabilities, 0.5)[0].tolist() == ["a", "unknown", "wind"]
    heard = replace(card, background_label="wind")
    assert heard.predict(probabilities, 0.5)[0].tolist() == ["a", "unknown", "unknown"]
    assert heard.predict(probabilities, 0.0)[0].tolist() == ["a", "a", "unknown"]
    assert heard.predict(probabilities)[0].tolist() == ["a", "a", "b"]
    assert heard.predict(probabilities, 0.5)[1].tolist() == [0.6, 0.45, 0.3]
    assert heard.predict(np.zeros((0, 3)), 0.5)[0].tolist() == []


def test_of_several_labels_clips_that_reach_no_threshold_are_unknown():
    probabilities = np.array([[0.3, 0.7], [0.2, 0.7], [0.2, 0.8]])
    assert SEVERAL.predict(probabilities, SEVERAL.unknown_below(None))[0].tolist() == [
        "a",
        "unknown",
        "b",
    ]
    with pytest.raises(UserError, match="`precision=0.9` needs a model of one label a clip"):
        SEVERAL.unknown_below(0.9)
    heard = replace(SEVERAL, background_label="b")
    assert heard.predict(probabilities, 0.0)[0].tolist() == ["a", "unknown", "unknown"]


def test_a_clip_has_the_labels_that_reach_their_thresholds_or_else_the_closest_one():
    probabilities = np.array([[0.3, 0.8], [0.3, 0.7], [0.2, 0.8], [0.1, 0.2], [0.25, 0.75]])
    assert SEVERAL.predict(probabilities)[0].tolist() == ["a;b", "a", "b", "a", "a;b"]
    assert SEVERAL.predict(probabilities)[1].tolist() == [0.8, 0.3, 0.8, 0.1, 0.75]
    assert CARD.predict(probabilities)[0].tolist() == ["b"] * 5
    assert SEVERAL.predict(np.zeros((0, 2)))[0].tolist() == []
