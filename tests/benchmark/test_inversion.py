import json

import numpy as np
import pytest
import soundfile

from freqquest.benchmark.config import InversionBenchmark
from freqquest.benchmark.inversion import _errors, benchmark_inversion
from freqquest.errors import UserError
from tests.conftest import RATE_HZ, tone


def test_each_way_is_measured_on_a_few_clips_of_each_class(tmp_path, audio_dir):
    output = tmp_path / "inversion.json"
    table = benchmark_inversion(
        InversionBenchmark(
            audio_dir=str(audio_dir),
            clips_per_class=1,
            work_dir=str(tmp_path / "work"),
            output=str(output),
        )
    )
    figures = json.loads(output.read_text())
    assert table.strip() == output.with_suffix(".md").read_text().strip()
    assert "2 clips, 1 of each class" in table
    for method in ("torchaudio", "recipe", "default"):
        assert set(figures["methods"][method]["spectral_convergence_by_class"]) == {"low", "high"}
        assert len(figures["runs"][method]) == 2
        assert 0 < figures["methods"][method]["spectral_convergence"] < 1
        assert figures["methods"][method]["seconds"] > 0


def test_a_clip_has_no_error_and_silence_misses_all_of_it():
    clip = tone(440.0)
    assert _errors(clip, clip) == {"spectral_convergence": 0, "log_mel_error": 0}
    assert _errors(np.zeros_like(clip), clip) == pytest.approx(
        {"spectral_convergence": 1, "log_mel_error": 1}
    )


def test_folders_without_clips_and_unreadable_clips_are_named(tmp_path):
    def run():
        benchmark_inversion(
            InversionBenchmark(audio_dir=str(tmp_path / "clips"), work_dir=str(tmp_path / "work"))
        )

    with pytest.raises(UserError, match="does not exist"):
        run()
    (tmp_path / "clips" / "siren").mkdir(parents=True)
    with pytest.raises(UserError, match="has no folders with clips"):
        run()
    soundfile.write(tmp_path / "clips" / "siren" / "a.wav", np.zeros(0), RATE_HZ)
    with pytest.raises(UserError, match=r"a\.wav: no samples"):
        run()
