"""The export job: from a model's file to one for another runtime, or a line that says why not."""

import json
import math
import re
import zipfile

import numpy as np
import pytest

from freqquest import commands
from freqquest.cnn.model_file import read_card
from freqquest.errors import UserError
from freqquest.export import agreement, export
from freqquest.export.config import ExportConfig
from freqquest.export.runtimes import load
from freqquest.storage import locate
from tests.export.conftest import probabilities, waveforms


def test_the_job_writes_a_model_and_prints_how_it_compares(short_model, tmp_path, capsys):
    output = tmp_path / "new" / "model.onnx"
    arguments = ["--model", str(short_model), "--format", "onnx", "--output", str(output)]
    commands.run_job("export", arguments, "freqquest export")
    titles, original, exported, clips, where = capsys.readouterr().out.splitlines()
    assert re.split("  +", titles)[-2:] == ["largest difference (probability)", "same answers"]
    assert original.split()[0] == "keras"
    assert re.fullmatch(r"onnx +0\.\d\d +[\d.]+ +\d.\de-0[4-9] +100.0%", exported)
    assert clips == "on 20 demo clips, one at a time; processor time"
    assert where == f"exported: {output}"
    card, given = (
        read_card(short_model),
        load("onnx", output)(waveform=waveforms(read_card(short_model))),
    )
    np.testing.assert_allclose(given, probabilities(short_model, card, waveforms(card)), atol=1e-3)
    with pytest.raises(SystemExit):
        commands.run_job("export", arguments, "freqquest export")
    assert "exists: choose another path, or pass --overwrite" in capsys.readouterr().err


def test_int8_is_calibrated_and_measured_on_the_dataset(tone_model, dataset_dir, tmp_path):
    output = tmp_path / "model.tflite"
    config = ExportConfig(
        model=str(tone_model),
        format="litert",
        output=str(output),
        dataset_dir=str(dataset_dir),
        int8=True,
    )
    report = export.export_model(config)
    assert report.names == ("keras", "litert int8")
    assert report.clips == "4 validation clips"
    assert report.score_title == "accuracy"
    assert all(each.score is not None for each in report.measurements)
    with zipfile.ZipFile(output) as archive:
        assert json.loads(archive.read("freqquest.json"))["classes"] == ["high", "low"]


def test_a_model_that_disagrees_leaves_no_output(short_model, tmp_path, monkeypatch):
    monkeypatch.setattr(agreement, "LARGEST_DIFFERENCE", -1.0)
    output = tmp_path / "out" / "model"
    config = ExportConfig(model=str(short_model), format="saved_model", output=str(output))
    with pytest.raises(UserError, match=r"saved_model differs from keras by .* nothing is written"):
        export.export_model(config)
    assert not output.parent.exists()


@pytest.mark.parametrize(("difference", "is_written"), [(0.5, True), (math.inf, False)])
def test_8_bits_may_differ_but_not_be_no_numbers(
    short_model, tmp_path, monkeypatch, difference, is_written
):
    def fake(config, model_file, path):
        path.write_bytes(b"file")
        measured = agreement.Measurement(ms_per_clip=1, largest_difference=difference)
        return agreement.ExportReport(
            names=("keras", "litert int8"),
            num_bytes=(1, 1),
            measurements=(measured, measured),
            clips="2 clips",
            unit="probability",
        )

    monkeypatch.setattr(export, "export_classifier", fake)
    output = tmp_path / "m.tflite"
    config = ExportConfig(
        model=str(short_model), format="litert", output=str(output), dataset_dir="d", int8=True
    )
    if is_written:
        export.export_model(config)
    else:
        with pytest.raises(UserError, match="litert int8 gives outputs on 2 clips that are NaN or"):
            export.export_model(config)
    assert output.exists() == is_written


def test_a_file_that_is_no_model_is_refused(tmp_path):
    other = tmp_path / "other"
    for content in (b"", b"RIFF....WAVEfmt", b"{}"):
        other.write_bytes(content)
        with pytest.raises(UserError, match="other` is neither a classifier nor a generator: give"):
            export.kind_of(locate(other))
    with pytest.raises(UserError, match="is a folder: give the best_model.keras of a tune_cnn run"):
        export.kind_of(locate(tmp_path))
    with pytest.raises(UserError, match="does not exist: give the best_model.keras of a tune_cnn"):
        export.kind_of(locate(tmp_path / "gone"))


def test_a_model_of_another_version_is_refused_in_one_line(short_model, tmp_path, capsys):
    changed = tmp_path / "best_model.keras"
    with zipfile.ZipFile(short_model.path) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "freqquest.json":
                content = json.dumps(json.loads(content) | {"version": 99}).encode()
            target.writestr(name, content)
    arguments = ["--model", str(changed), "--format", "onnx", "--output", str(tmp_path / "m.onnx")]
    with pytest.raises(SystemExit) as end:
        commands.run_job("export", arguments, "freqquest export")
    assert end.value.code == 2
    _, line = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"error: --model {changed} has model version 99, but this freqquest reads"
    )
    assert not (tmp_path / "m.onnx").exists()
