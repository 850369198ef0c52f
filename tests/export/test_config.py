"""Settings of the export job."""

import pytest

from freqquest.export.config import ExportConfig

PATHS = {"model": "m.keras", "output": "out/m.onnx"}


def test_an_unknown_format_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="`format=tflite` must be one of: onnx, litert, saved_mod"):
        ExportConfig(format="tflite", **PATHS)


def test_int8_is_refused_without_litert_and_without_a_dataset():
    with pytest.raises(ValueError, match="`int8` needs `format=litert`, not onnx"):
        ExportConfig(format="onnx", int8=True, dataset_dir="data", **PATHS)
    with pytest.raises(ValueError, match="`int8` needs `dataset_dir`"):
        ExportConfig(format="litert", int8=True, **PATHS)


def test_the_requirements_are_the_paths():
    requirements = ExportConfig(format="onnx", dataset_dir="data", **PATHS).requirements
    assert requirements.reads == {"model": "m.keras", "dataset_dir": "data"}
    assert requirements.writes == {"output": "out"}


@pytest.mark.parametrize(
    ("kind", "output", "wanted"),
    [("onnx", "", "file"), ("litert", "out/", "file"), ("saved_model", "", "folder")],
)
def test_an_output_without_a_name_is_refused(kind, output, wanted):
    with pytest.raises(ValueError, match=f"`output={output}` must be the path of a {wanted}"):
        ExportConfig(model="m.keras", format=kind, output=output)
    assert ExportConfig(model="m.keras", format="saved_model", output="out/").output == "out/"
