from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import CNN_VIEW
from freqquest.cnn import predict
from freqquest.cnn.average import average
from freqquest.cnn.classifier import Classifier
from freqquest.cnn.config import PRESETS, CnnConfig
from freqquest.cnn.labeled_clips import LabeledClips, dataset_split
from freqquest.cnn.model_card import ModelCard
from freqquest.cnn.model_file import add_card, to_bytes
from freqquest.cnn.network import build_model
from freqquest.dataset.manifest import Normalization
from freqquest.storage import locate


def make_clips(
    num_recordings: int = 8,
    clips_per_recording: int = 4,
    num_copies: int = 0,
    folds: int = 0,
    sides: tuple[int, int] = (16, 20),
) -> LabeledClips:
    """Clips of two classes, one loud in some bands, one in some frames; recordings alternate."""
    rng = np.random.default_rng(0)
    num_clips = num_recordings * clips_per_recording
    recordings = np.repeat(np.arange(num_recordings), clips_per_recording)
    classes = recordings % 2
    spectrograms = rng.normal(-60, 3, (num_clips, *sides))
    spectrograms[classes == 0, ::4] += 30
    spectrograms[classes == 1, :, ::4] += 30
    rows = np.tile(np.arange(num_clips), 1 + num_copies)
    groups = recordings // 2 % folds + 1 if folds else recordings
    return LabeledClips(
        spectrograms=np.clip(spectrograms, -80, 0).astype(np.float16)[rows],
        class_indices=classes[rows],
        labels=np.eye(2, dtype=bool)[classes[rows]],
        has_several_labels=False,
        is_training_only=np.arange(len(rows)) >= num_clips,
        clip_ids=pd.Categorical([f"clip{row}" for row in rows]),
        recordings=pd.Categorical(recordings[rows].astype(str)),
        groups=pd.Categorical(groups[rows].astype(str)),
        is_validation=(recordings >= num_recordings - 2)[rows] & (np.arange(len(rows)) < num_clips),
        paths=pd.Categorical(["nowhere.wav"] * len(rows)),
        start_s=np.zeros(len(rows)),
        end_s=np.full(len(rows), np.nan),
        classes=("tones", "clicks"),
        normalization=Normalization(
            mean=-45.0,
            standard_deviation=15.0,
            band_means=[-45.0] * sides[0],
            band_standard_deviations=[15.0] * sides[0],
        ),
    )


def make_clips_of_several_labels(**sizes) -> LabeledClips:
    """The same clips, but those of every third recording have both labels, and both sounds."""
    clips = make_clips(**sizes)
    has_both = np.asarray(clips.recordings, int) % 3 == 0
    labels = clips.labels | has_both[:, None]
    spectrograms = clips.spectrograms.copy()
    spectrograms[has_both, ::4] = -30
    spectrograms[has_both, :, ::4] = -30
    rarest = labels.sum(axis=0).argmin()
    return replace(
        clips,
        spectrograms=spectrograms,
        labels=labels,
        class_indices=np.where(labels[:, rarest], rarest, clips.class_indices),
        has_several_labels=True,
    )


@pytest.fixture
def clips():
    return make_clips()


CLIP_NORMALIZATION = Normalization(
    mean=-40.0,
    standard_deviation=20.0,
    band_means=[-40.0] * 128,
    band_standard_deviations=[20.0] * 128,
)
CLASSES = ["low", "middle", "high"]
SMALLEST = replace(PRESETS["default"], num_filters=2, normalization="dataset+clip_band")


def make_card(classes, normalization=CLIP_NORMALIZATION):
    return ModelCard(
        classes=classes,
        clip=ClipConfig(),
        view=CNN_VIEW,
        most_frequent_class=classes[0],
        cnn_config={},
        num_members=2,
        trained_on="nothing",
        temperature=0.7,
        normalization=normalization,
        dataset_sha256="0",
        scores={"accuracy": 0.5, "split": "unseen recordings"},
    )


def write_classifier(model_file, classes, thresholds=None):
    """Write a model of two untrained networks whose predictions differ between clips."""
    import keras

    keras.utils.set_random_seed(0)
    several = thresholds is not None
    members = [
        build_model(SMALLEST, len(classes), (128, 173), CLIP_NORMALIZATION, several_labels=several)
        for _ in range(2)
    ]
    for seed, member in enumerate(members):
        for head in (layer for layer in member.layers if isinstance(layer, keras.layers.Dense)):
            head.kernel.assign(np.random.default_rng(seed).normal(0, 10, head.kernel.shape))
    card = make_card(classes)
    if several:
        card = replace(card, thresholds=thresholds, temperature=[0.7] * len(classes))
    model = average(members, temperature=card.temperature, several_labels=several)
    model_file.write_bytes(add_card(to_bytes(model), card))
    return model_file


@pytest.fixture(scope="session")
def labels_file(tmp_path_factory):
    """The file of a classifier of CLASSES of which clips have several: the last two are certain."""
    file = locate(tmp_path_factory.mktemp("labels") / "best_model.keras")
    return write_classifier(file, CLASSES, thresholds=[1.1, 0.0, 0.0])


def predict_here(monkeypatch):
    """Let this process predict; `test_classifier.py` compares it with actors."""

    def predict_clips(model_file, card, paths, reasons=None, *, unknown_below=None, **_):
        table = Classifier.load(model_file.path).predict(paths)
        results = pd.DataFrame({"path": paths, "reason": table["reason"]})
        probabilities = table[card.probability_columns].to_numpy()
        return predict._add_predictions(results, probabilities, card, unknown_below)

    monkeypatch.setattr(predict, "predict_clips", predict_clips)


EASY = CnnConfig(
    num_blocks=2, num_filters=8, input_pooling=1, batch_size=8, min_steps=8, learning_rate=0.01
)
EASY = replace(EASY, normalization="dataset", weight_average=1 / 9, batch_norm_momentum=0.5)
EASY = replace(EASY, mixup=0.0, equalizer_db=0.0, num_masks=0)
"""A small network that learns the two classes of `make_clips` in a few epochs."""


def train_easily(device, seed, saved=None):
    """Train a small network on an easy task; return it and its epochs."""
    from freqquest.cnn.training import fit

    clips, epochs = make_clips(), []
    model = fit(
        EASY,
        clips,
        dataset_split(clips),
        max_epochs=6,
        seed=seed,
        on_epoch=lambda epoch: epochs.append((epoch.metrics, epoch.save())),
        saved=saved,
        device=device,
    )
    return model, *zip(*epochs, strict=True)


def with_vectors(clips: LabeledClips, separation: float) -> LabeledClips:
    """The same clips with vectors of noise, whose first values differ by this between classes."""
    vectors = np.random.default_rng(1).normal(size=(len(clips.labels), 6))
    vectors[:, : clips.labels.shape[1]] += separation * clips.labels
    return replace(clips, vectors=vectors.astype(np.float32))
