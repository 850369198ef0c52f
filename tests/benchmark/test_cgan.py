import json

import numpy as np
import pytest
import torch

from freqquest.benchmark.cgan import benchmark_cgan, recipe_clips
from freqquest.benchmark.cgan_config import CganBenchmark
from freqquest.dataset.manifest import load_manifest
from freqquest.dataset.read import read_rows
from freqquest.errors import UserError
from freqquest.storage import locate
from tests.splits import read_split


@pytest.mark.slow
def test_all_runs_are_timed_and_the_losses_agree(tmp_path, dataset_dir, monkeypatch):
    monkeypatch.setattr("freqquest.benchmark.cgan_runs._WARM_UP", {"cpu": 1})
    output = tmp_path / "cgan.json"
    table = benchmark_cgan(
        CganBenchmark(
            dataset_dir=str(dataset_dir),
            num_steps=1,
            num_runs=1,
            num_agreement_steps=1,
            output=str(output),
        )
    )
    assert table.strip() == output.with_suffix(".md").read_text().strip()
    assert str(dataset_dir) not in output.read_text()
    found = json.loads(output.read_text())
    tuned = {"reference_bfloat16", "default"}
    full = {"reference", *tuned}
    summary = found["summary"]
    beside = {"slower_of_two_default", "faster_of_two_default"}
    assert set(summary["clips_per_s"]) == {"naive", "alone_default"} | full | beside | {
        f"{part}_{name}" for part in ("bare", "workers") for name in tuned
    }
    assert set(summary["times_naive"]) == {"naive"} | full
    assert set(summary["workers_share"]) == set(summary["overhead"]) == tuned
    assert set(summary["beside_share"]) == beside
    for group in ("clips_per_s", "times_naive", "workers_share", "beside_share"):
        assert min(summary[group].values()) > 0
    assert summary["first_difference"]["reference"] < 1e-4
    assert summary["first_difference"]["reference_bfloat16"] < 2e-2


def test_the_recipes_loader_makes_the_spectrograms_that_the_dataset_stores(dataset_dir):
    dataset = locate(dataset_dir)
    manifest = load_manifest(dataset)
    clips = recipe_clips(str(dataset_dir), manifest)
    stored = read_split(dataset, manifest, "train", "cgan")
    rows = np.flatnonzero(read_rows(dataset, manifest, "train")["augmentation"] == "none")
    assert len(clips) == len(rows) == 16
    for index in (0, 7, 15):
        spectrogram, label = clips[index]
        assert label == stored.class_indices[rows[index]]
        expected = torch.from_numpy(stored.spectrograms[rows[index]]).float()
        torch.testing.assert_close(spectrogram[0], expected, rtol=1e-3, atol=2e-3)


def test_missing_audio_files_are_named(dataset_dir, monkeypatch):
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: False)
    with pytest.raises(
        UserError, match=r"\.wav is missing: the recipe's loop reads the audio files of"
    ):
        recipe_clips(str(dataset_dir), load_manifest(locate(dataset_dir)))


def test_use_gpu_without_a_gpu_is_refused(dataset_dir):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UserError, match="`use_gpu=True`: PyTorch finds no GPU"):
        benchmark_cgan(CganBenchmark(dataset_dir=str(dataset_dir), use_gpu=True))
