import json

import pandas as pd
import pytest

from freqquest.benchmark import generators
from freqquest.benchmark.generators_config import GeneratorsBenchmark
from tests.embedding.tiny_networks import write_onnx


@pytest.mark.slow
def test_generators_are_judged_by_the_fold_that_they_did_not_learn_from(
    local_ray, audio_dir, tmp_path
):
    files = sorted(path.relative_to(audio_dir) for path in audio_dir.rglob("*.wav"))
    recordings = [path.name.split("-")[0] for path in files]
    folds = [1 + int(recording) % 2 for recording in recordings]
    table = pd.DataFrame(
        {
            "path": map(str, files),
            "label": [path.parts[0] for path in files],
            "recording": recordings,
            "fold": folds,
        }
    )
    table.to_csv(tmp_path / "metadata.csv", index=False)
    config = GeneratorsBenchmark(
        audio_dir=str(audio_dir),
        metadata=str(tmp_path / "metadata.csv"),
        embedding=str(write_onnx(tmp_path / "network.onnx", 8_000)),
        embedding_rate=16_000,
        folds=(2,),
        num_seeds=1,
        epochs=1,
        judge_epochs=1,
        work_dir=str(tmp_path / "work"),
        output=str(tmp_path / "generators.json"),
    )
    text = generators.benchmark_generators(config)
    for row in ("embedding/kernel_by_class", "judge/copying", "flatness, relative to theirs: low"):
        assert f"| {row} |" in text
    runs = json.loads((tmp_path / "generators.json").read_text())["runs"]
    assert [(run["fold"], run["seed"], run["epoch"]) for run in runs] == [(2, 0, 1)]
    assert set(runs[0]["sound"]) == {"high", "low"}
    weights = tmp_path / "work" / "fold_2" / "default_0" / "generator.safetensors"
    time = weights.stat().st_mtime_ns
    assert generators.benchmark_generators(config) == text  # trains nothing again
    assert weights.stat().st_mtime_ns == time
