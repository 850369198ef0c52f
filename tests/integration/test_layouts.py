"""Each layout, kind of annotation, choice of windows and format, from its folder to predictions.

The clips are tones whose pitch tells their class. A network that knows them afterwards shows that
the labels went to the right sounds. Most networks are trained in this process, as starting a search
takes longer than all of them.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr

from freqquest.cnn.classifier import Classifier
from freqquest.cnn.labeled_clips import LabeledClips, dataset_split, load_labeled
from freqquest.cnn.model_file import add_card, to_bytes
from freqquest.cnn.network import predict_probabilities
from freqquest.cnn.training import fit
from freqquest.dataset.clip_inputs import Inputs
from freqquest.dataset.config import PreprocessConfig
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.write import write_dataset
from freqquest.runs.folder import read_sections
from freqquest.runs.layout import METRICS_NAME
from freqquest.storage import locate
from tests.audio.encode import FORMATS, encode
from tests.cnn.conftest import EASY, make_card, predict_here
from tests.layout_folders import LAYOUTS, RATE_HZ, fsd50k, tone, write_sound

pytestmark = pytest.mark.usefixtures("local_ray")

SMALL_CLIPS = {"sample_rate": 8_000, "duration": 0.5, "num_mels": 32}
TINY = replace(EASY, num_blocks=1, min_steps=40)
LONGER = replace(EASY, min_steps=100)
LABELS = ("low", "high")


def train(audio_dir, folder, **settings):
    """Make a dataset of small clips and train on it; return the classifier, clips and manifest."""
    config = PreprocessConfig(
        audio_dir=str(audio_dir), dataset_dir=str(folder / "dataset"), **SMALL_CLIPS | settings
    )
    manifest = write_dataset(config)
    clips = load_labeled(locate(config.dataset_dir), manifest)
    is_harder = manifest.has_several_labels or manifest.background_label
    network = LONGER if is_harder else TINY
    model = fit(network, clips, dataset_split(clips), max_epochs=1, seed=0)
    card = replace(
        make_card(manifest.classes, manifest.normalization["cnn"]),
        clip=manifest.clip,
        windows=manifest.windows,
        view=manifest.views["cnn"],
        background_label=manifest.background_label,
        thresholds=[0.5] * len(manifest.classes) if manifest.has_several_labels else None,
    )
    (folder / "model.keras").write_bytes(add_card(to_bytes(model), card))
    return model, clips, manifest


def accuracy(model, clips: LabeledClips) -> float:
    """Return the accuracy on all rows of a dataset."""
    found = predict_probabilities(model, Inputs(clips.spectrograms)).argmax(axis=1)
    return float((found == clips.class_indices).mean())


def predict(folder, paths) -> list[str]:
    """Return the labels of files by the saved classifier."""
    table = Classifier.load(folder / "model.keras").predict([str(path) for path in paths])
    return table["label"].tolist()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "Speech Commands" else pytest.mark.slow)
        for name in LAYOUTS
    ],
)
def test_a_classifier_learns_the_classes_of_a_known_layout(name, tmp_path):
    case = LAYOUTS[name]
    folder = case.make()
    root = folder.write(tmp_path / "audio")
    _, _, manifest = train(root, tmp_path, **case.settings)
    assert any(note.startswith(f"layout: {case.layout}") for note in manifest.notes)
    num_background = sum(
        counts.get(manifest.background_label, 0) for counts in manifest.num_clips.values()
    )
    assert (num_background > 0) == (name == "Speech Commands")
    assert sum(manifest.num_rows.values()) - num_background == len(folder.labels)
    assert manifest.num_rows["test"] == case.num_test_clips
    assert predict(tmp_path, map(root.joinpath, folder.labels)) == [*folder.labels.values()]


def write_field(folder):
    """Write four recordings of six sounds between pauses; return the annotations."""
    rows = []
    for number in range(4):
        parts = []
        for sound in range(6):
            class_index = (number + sound) % 2
            parts += [tone(None, sound, 0.4), tone(class_index, 10 * number + sound, 0.6)]
            rows.append((f"site{number}", sound + 0.4, sound + 1.0, LABELS[class_index]))
        write_sound(folder / f"site{number}.wav", np.concatenate(parts))
    return pd.DataFrame(rows, columns=["path", "start_s", "end_s", "label"])


def write_annotations(kind, table, folder):
    """Write annotations as a CSV, or as a file of another program for each recording."""
    folder.mkdir()
    if kind == "CSV":
        table.to_csv(folder / "sounds.csv", index=False)
        return folder / "sounds.csv"
    for name, rows in table.groupby("path"):
        if kind == "Audacity":
            columns = rows[["start_s", "end_s", "label"]]
            columns.to_csv(folder / f"{name}.txt", sep="\t", header=False, index=False)
        else:
            raven = pd.DataFrame(
                {
                    "Selection": range(1, len(rows) + 1),
                    "View": "Spectrogram 1",
                    "Channel": 1,
                    "Begin Time (s)": rows["start_s"],
                    "End Time (s)": rows["end_s"],
                    "Species": rows["label"],
                }
            )
            raven.to_csv(folder / f"{name}.Table.1.selections.txt", sep="\t", index=False)
    return folder


@pytest.mark.parametrize(
    "kind",
    [
        "CSV",
        pytest.param("Audacity", marks=pytest.mark.slow),
        pytest.param("Raven", marks=pytest.mark.slow),
    ],
)
def test_a_classifier_learns_the_annotated_sounds_of_longer_recordings(kind, tmp_path):
    table = write_field(tmp_path / "field")
    annotations = write_annotations(kind, table, tmp_path / "annotations")
    model, clips, manifest = train(tmp_path / "field", tmp_path, annotations=str(annotations))
    assert manifest.num_rows == {"train": 18, "validation": 6, "test": 0}
    assert set(clips.recordings) == {f"site{number}.wav" for number in range(4)}
    assert accuracy(model, clips) == 1.0


def write_long_files(folder, lead_s):
    """Write four recordings of each class: a sound of 1.2 seconds after a pause."""
    for class_index, label in enumerate(LABELS):
        for number in range(4):
            sound = [tone(None, number, lead_s), tone(class_index, number, 1.2)]
            write_sound(folder / label / f"{number}.flac", np.concatenate(sound))


def test_a_classifier_learns_from_all_windows_of_longer_files(tmp_path):
    write_long_files(tmp_path / "audio", lead_s=0.0)
    model, clips, manifest = train(tmp_path / "audio", tmp_path, windows="all")
    assert manifest.num_rows == {"train": 18, "validation": 6, "test": 0}
    assert sorted(set(clips.start_s)) == [0.0, 0.5, 0.7]  # the last one ends with the file
    assert set(clips.recordings[clips.is_validation]).isdisjoint(
        clips.recordings[~clips.is_validation]
    )
    assert accuracy(model, clips) == 1.0


def test_a_classifier_learns_from_the_loudest_windows_of_longer_files(tmp_path):
    write_long_files(tmp_path / "audio", lead_s=1.0)
    model, clips, manifest = train(tmp_path / "audio", tmp_path, windows="loudest")
    assert manifest.num_rows == {"train": 6, "validation": 2, "test": 0}
    assert clips.start_s.min() >= 1.0
    assert accuracy(model, clips) == 1.0


def write_phone_recordings(folder):
    """Write the formats of phones and browsers, which libsndfile cannot decode all."""
    labels = {}
    for class_index, label in enumerate(LABELS):
        for number, ending in enumerate(("m4a", "webm", "opus", "wma")):
            # As WhatsApp names its voice messages.
            name = f"PTT-20230710-WA{number}" if ending == "opus" else f"recording {number}"
            samples = soxr.resample(tone(class_index, number), RATE_HZ, FORMATS[ending][2])
            path = folder / label / f"{name}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(ending, samples))
            labels[path] = label
    return labels


def test_a_classifier_learns_from_the_formats_of_phones_and_browsers(tmp_path):
    labels = write_phone_recordings(tmp_path / "audio")
    _, _, manifest = train(tmp_path / "audio", tmp_path)
    assert (sum(manifest.num_rows.values()), manifest.num_quarantined) == (8, 0)
    assert predict(tmp_path, labels) == [*labels.values()]


@pytest.mark.slow
def test_the_pipeline_runs_whole_on_clips_of_another_size_with_several_labels(
    job, small_networks, tmp_path, monkeypatch
):
    predict_here(monkeypatch)
    root, run = fsd50k().write(tmp_path / "audio"), tmp_path / "run"
    clips = ["--audio-dir", root, "--sample-rate", 16_000, "--duration", 1]
    requested = write_phone_recordings(tmp_path / "test")
    names = [str(path.relative_to(tmp_path / "test")) for path in requested]
    sample = pd.DataFrame({"ID": names, "Meow": 0, "Bark": 0})
    sample.to_csv(tmp_path / "sample.csv", index=False)
    test = ["--test-dir", tmp_path / "test", "--sample-submission", tmp_path / "sample.csv"]
    budget = ["--num-trials", 1, "--max-epochs", 1, "--num-members", 0, "--epochs", 1]
    small = ["--num-clips", 1, "--batch-size", 4]
    job("pipeline", *clips, *test, "--run-dir", run, *budget, *small)
    assert load_manifest(locate(run / "dataset")).clip.num_samples == 16_000
    assert "mean_average_precision" in read_sections(locate(run), METRICS_NAME)["cnn"]
    submission = pd.read_csv(run / "submission.csv")
    assert submission.columns.tolist() == ["ID", "Meow", "Bark"]
    assert submission["ID"].tolist() == names
    generated = pd.read_csv(run / "generated.csv")
    assert generated["label"].tolist() == ["Bark", "Meow"]
    right = [one in many.split(";") for one, many in generated[["label", "Class"]].to_numpy()]
    metrics = read_sections(locate(run), METRICS_NAME)["generated"]
    assert metrics["judge_accuracy"] == np.mean(right)
    info = soundfile.info(run / "generated" / "Bark_0_000.wav")
    assert (info.samplerate, info.frames) == (16_000, 16_000)
    assert (run / "report.html").is_file()
