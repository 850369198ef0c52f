import json

import pytest

from freqquest.benchmark.export import benchmark_export
from freqquest.benchmark.export_config import ExportBenchmark
from freqquest.storage import locate
from tests.export.conftest import RECIPE, write_model


@pytest.mark.slow
def test_every_format_has_a_line_beside_the_original(tmp_path, dataset_dir):
    model = write_model(locate(tmp_path / "best_model.keras"), RECIPE, classes=["high", "low"])
    output = tmp_path / "export.json"
    table = benchmark_export(
        ExportBenchmark(model=str(model), dataset_dir=str(dataset_dir), output=str(output))
    )
    lines = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert lines == ["model", "keras", "onnx", "litert", "litert int8", "saved_model"]
    assert "4 validation clips" in table
    for report in json.loads(output.read_text())["reports"]:
        original, exported = report["measurements"]
        assert original["ms_per_clip"] > 0
        assert 0 <= exported["score"] <= 1
