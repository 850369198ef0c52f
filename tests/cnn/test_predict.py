from dataclasses import replace

import pandas as pd
import pytest
import soundfile

from freqquest.cnn.abstention import CoverageCurve, Point
from freqquest.cnn.classifier import Classifier
from freqquest.cnn.model_file import add_card, load_model, read_card, to_bytes
from freqquest.cnn.predict import (
    check_request,
    class_columns,
    list_requested_clips,
    predict_submission,
    submission_of,
)
from freqquest.cnn.predict_config import PredictConfig
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.cnn.conftest import CLASSES, make_card, predict_here
from tests.conftest import RATE_HZ, tone


@pytest.fixture
def predicting_here(local_ray, monkeypatch):
    predict_here(monkeypatch)


@pytest.fixture
def clips(tmp_path):
    for name in ("b.wav", "a.wav", "c.flac"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def write_sample(folder, *ids):
    path = folder / "sample.csv"
    path.write_text("ID,Class\n" + "".join(f'"{name}",x\n' for name in ids))
    return str(path)


def test_the_sample_sets_the_rows_and_their_order(clips):
    listed = list_requested_clips(str(clips), write_sample(clips, "c.flac", "a.wav", "c.flac"))
    assert listed["ID"].tolist() == ["c.flac", "a.wav", "c.flac"]
    assert listed["path"].tolist() == [str(clips / name) for name in ("c.flac", "a.wav", "c.flac")]


def test_ids_are_echoed_to_the_byte_and_match_without_ending(clips):
    (clips / "-x.wav").write_bytes(b"")
    (clips / "sample.csv").write_text("id,label\n-x,0\n b.wav,0\nA.WAV,0\n=1,0\n")
    with pytest.raises(UserError, match="line 5: ID '=1' has no file in"):
        list_requested_clips(str(clips), str(clips / "sample.csv"))
    (clips / "=1.wav").write_bytes(b"")
    listed = list_requested_clips(str(clips), str(clips / "sample.csv"))
    assert listed["ID"].tolist() == ["-x", " b.wav", "A.WAV", "=1"]
    names = listed["path"].str.removeprefix(f"{clips}/")
    assert names.tolist() == ["-x.wav", "b.wav", "a.wav", "=1.wav"]


def test_an_id_of_several_files_is_refused(clips):
    (clips / "a.flac").write_bytes(b"")
    with pytest.raises(UserError, match="line 2: ID 'a' is the name of several files in .*: give"):
        list_requested_clips(str(clips), write_sample(clips, "a"))


def test_without_a_sample_all_clips_are_listed_by_name(clips):
    assert list_requested_clips(str(clips), None)["ID"].tolist() == ["a.wav", "b.wav", "c.flac"]


def test_a_link_out_of_the_folder_is_listed_but_not_read(clips, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "secret.wav").write_bytes(b"")
    (clips / "b2.wav").symlink_to(elsewhere / "secret.wav")
    listed = list_requested_clips(str(clips), None)
    assert listed["ID"].tolist() == ["a.wav", "b.wav", "b2.wav", "c.flac"]
    assert listed.set_index("ID")["reason"].astype(bool).to_dict() == {
        "a.wav": False,
        "b.wav": False,
        "b2.wav": True,
        "c.flac": False,
    }


@pytest.mark.parametrize(
    ("bad_id", "message"),
    [
        ("missing.wav", r"line 3: ID 'missing.wav' has no file in"),
        (
            "../secret.wav",
            r"line 3: ID '../secret.wav' is not the name of a file inside the folder",
        ),
        ("/etc/passwd", r"line 3: ID '/etc/passwd' is not the name of a file inside"),
        ("a\nb.wav", r"is not the name of a file inside"),
    ],
)
def test_an_id_without_a_file_is_reported_with_its_line(clips, bad_id, message):
    with pytest.raises(UserError, match=message):
        list_requested_clips(str(clips), write_sample(clips, "a.wav", bad_id))


def test_a_sample_without_ids_is_refused(clips):
    with pytest.raises(UserError, match="`sample_submission=.*` has no ID below its header"):
        list_requested_clips(str(clips), write_sample(clips))
    (clips / "sample.csv").write_text("")
    with pytest.raises(UserError, match="is empty: its first line must name the columns"):
        list_requested_clips(str(clips), str(clips / "sample.csv"))


def test_a_sample_without_the_column_is_refused(clips):
    (clips / "sample.csv").write_text("file,Class\na.wav,x\n")
    with pytest.raises(UserError, match="lacks the column ID; it has file, Class"):
        list_requested_clips(str(clips), str(clips / "sample.csv"))


def test_a_gpu_that_the_cluster_lacks_is_refused_before_any_work(local_ray, clips, model_file):
    config = PredictConfig(
        model=str(model_file), audio_dir=str(clips), output=str(clips / "out.csv"), use_gpu=True
    )
    assert config.requirements.use_gpu
    with pytest.raises(UserError, match="`use_gpu` with 1 worker.* the cluster has 0: leave out"):
        predict_submission(config, list_requested_clips(config.audio_dir, None))


def test_an_output_that_exists_is_refused_before_ray_starts(clips, model_file):
    (clips / "out.csv").write_text("mine")
    config = PredictConfig(
        model=str(model_file), audio_dir=str(clips), output=str(clips / "out.csv")
    )
    with pytest.raises(UserError, match=r"out.csv` exists: choose another path, or pass"):
        check_request(config)


def test_too_many_unreadable_clips_stop_the_job_without_an_output(
    predicting_here, clips, model_file
):
    config = PredictConfig(
        model=str(model_file), audio_dir=str(clips), output=str(clips / "out.csv")
    )
    with pytest.raises(UserError, match=r"3 of 3 clips cannot be read, .*=0.05` allows; the first"):
        predict_submission(config, check_request(config))
    assert not (clips / "out.csv").exists()
    assert "a.wav" in (clips / "out.csv.unreadable.csv").read_text()


def a_request(folder, model, sample):
    """Two clips to classify, in the order of a sample."""
    for name, pitch_hz in (("a.wav", 200.0), ("b.wav", 3000.0)):
        soundfile.write(folder / name, tone(pitch_hz), RATE_HZ)
    (folder / "sample.csv").write_text(sample)
    return PredictConfig(
        model=str(model),
        audio_dir=str(folder),
        output=str(folder / "out.csv"),
        sample_submission=str(folder / "sample.csv"),
    )


def test_a_sample_with_a_column_for_each_class_gets_probabilities_in_its_order(
    predicting_here, tmp_path, labels_file
):
    config = a_request(tmp_path, labels_file, "ID,high,low,middle\nb.wav,0,0,0\na,0,0,0\n")
    predict_submission(config, check_request(config))
    written = pd.read_csv(tmp_path / "out.csv")
    assert written.columns.tolist() == ["ID", "high", "low", "middle"]
    assert written["ID"].tolist() == ["b.wav", "a"]
    paths = [str(tmp_path / name) for name in ("b.wav", "a.wav")]
    expected = Classifier.load(labels_file.path).predict(paths)
    for label in ("high", "low", "middle"):
        assert written[label].tolist() == pytest.approx(
            expected[f"probability_{label}"].tolist(), abs=1e-5
        )


def test_without_a_sample_probabilities_are_rounded_and_formulas_escaped(
    predicting_here, tmp_path, model_file
):
    for name in ("=1.wav", "a.wav"):
        soundfile.write(tmp_path / name, tone(200.0), RATE_HZ)
    (tmp_path / "broken.wav").write_bytes(b"no audio at all")
    output = tmp_path / "out.csv"
    output.write_text("from before")
    paths = {"model": str(model_file), "audio_dir": str(tmp_path), "output": str(output)}
    config = PredictConfig(**paths, probabilities=True, overwrite=True)
    predict_submission(config, check_request(config))
    table = pd.read_csv(output).set_index("ID")
    assert table.columns.tolist() == ["Class", *(f"probability_{label}" for label in CLASSES)]
    cells = output.read_text().replace("\n", ",").split(",")
    assert max(map(len, cells)) <= max(map(len, table.columns))  # rounded
    sums = table.drop(columns="Class").sum(axis=1).round(3)
    assert sums.to_dict() == {"'=1.wav": 1.0, "a.wav": 1.0, "broken.wav": 0.0}


def test_classes_may_have_the_names_of_other_columns(tmp_path):
    card = make_card(["path", "probability", "reason"])
    (tmp_path / "sample.csv").write_text("ID,reason,path,probability\na.wav,0,0,0\n")
    row = {"ID": "a.wav", "path": "a.wav", "reason": "", "Class": "path", "probability": 0.5}
    row |= {"probability_path": 0.5, "probability_probability": 0.2, "probability_reason": 0.3}
    sample = str(tmp_path / "sample.csv")
    written = submission_of(pd.DataFrame([row]), card, sample, with_probabilities=False)
    assert written.to_dict("records") == [
        {"ID": "a.wav", "reason": 0.3, "path": 0.5, "probability": 0.2}
    ]


def test_several_labels_stand_in_one_cell_of_a_submission(predicting_here, tmp_path, labels_file):
    config = a_request(tmp_path, labels_file, "ID,Class\na.wav,x\n")
    predict_submission(config, check_request(config))
    assert (tmp_path / "out.csv").read_text() == "ID,Class\na.wav,high;middle\n"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("ID,low,high", "lacks the classes middle: give it ID and a column for each class"),
        ("ID,low,high,middle,dog", "has dog, which the model does not know: give"),
        ("ID,low,dog", "lacks the classes high, middle and has dog, which"),
        ("ID,Low,High,Middle", "lacks the classes high, low, middle and has High, Low, Middle"),
    ],
)
def test_a_sample_with_columns_of_other_classes_is_refused(clips, model_file, header, message):
    (clips / "sample.csv").write_text(f"{header}\na.wav{',0' * header.count(',')}\n")
    config = PredictConfig(
        model=str(model_file),
        audio_dir=str(clips),
        output=str(clips / "out.csv"),
        sample_submission=str(clips / "sample.csv"),
    )
    with pytest.raises(UserError, match=f"`sample_submission=.*sample.csv` .*{message}"):
        check_request(config)


def test_columns_beside_class_ask_for_no_probabilities(clips):
    for header in ("ID,Class", "ID,class,low", "ID", "ID,dog"):
        (clips / "sample.csv").write_text(f"{header}\na.wav{',0' * header.count(',')}\n")
        assert class_columns(str(clips / "sample.csv"), ["low", "high"]) == []
    assert class_columns(None, ["low", "high"]) == []


@pytest.mark.parametrize("header", ["ID,low,high", "ID,wind,low,high"])
def test_a_sample_may_leave_out_the_background(clips, header):
    (clips / "sample.csv").write_text(f"{header}\na.wav{',0' * header.count(',')}\n")
    columns = class_columns(str(clips / "sample.csv"), ["high", "low", "wind"], "wind")
    assert columns == header.split(",")[1:]


CURVE = CoverageCurve([Point(1.0, 0.5, 0.9)])
"""A curve by which no clip is sure enough."""


def unsure_file(model_file, folder):
    file = locate(folder / "unsure.keras")
    card = replace(read_card(model_file), coverage_curve=CURVE)
    file.write_bytes(add_card(to_bytes(load_model(model_file)), card))
    return file


def test_clips_of_which_the_classifier_is_not_sure_are_unknown_if_that_is_asked(
    predicting_here, tmp_path, model_file
):
    config = a_request(tmp_path, unsure_file(model_file, tmp_path), "ID,Class\nb.wav,\na.wav,\n")
    config = replace(config, unknown=True, precision=0.9)
    table = predict_submission(config, check_request(config))
    assert (tmp_path / "out.csv").read_text() == "ID,Class\nb.wav,unknown\na.wav,unknown\n"
    sums = table[[f"probability_{label}" for label in ("low", "middle", "high")]].sum(axis=1)
    assert sums.tolist() == pytest.approx([1, 1])


def test_a_precision_out_of_reach_is_refused_before_ray_starts(tmp_path, model_file):
    config = a_request(tmp_path, unsure_file(model_file, tmp_path), "ID,Class\na.wav,x\n")
    with pytest.raises(UserError, match="`precision=0.95` is not reached .* ask for at most 0.9"):
        check_request(replace(config, unknown=True))


def test_unknown_clips_have_no_place_among_columns_of_classes(tmp_path, model_file):
    config = a_request(tmp_path, model_file, "ID,high,low,middle\na.wav,0,0,0\n")
    with pytest.raises(UserError, match="`unknown` needs a column Class, and `sample_submission="):
        check_request(replace(config, unknown=True))


def test_a_precision_must_be_a_share_and_go_with_unknown():
    paths = {"model": "m", "audio_dir": "a", "output": "o"}
    for precision in (0.0, 1.5):
        with pytest.raises(ValueError, match="must be above 0 and at most 1"):
            PredictConfig(**paths, unknown=True, precision=precision)
    with pytest.raises(ValueError, match="`precision=0.9` needs `unknown`: without it, every clip"):
        PredictConfig(**paths, precision=0.9)
