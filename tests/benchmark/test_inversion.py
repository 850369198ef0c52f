import json

import numpy as np
import pytest
import soundfile

from freqquest.benchmark.inversion import _errors, benchmark_inversion
from freqquest.benchmark.inversion_config import InversionBenchmark
from freqquest.errors import UserError
from tests.conftest import RATE_HZ, tone


@pytest.mark.slow
def test_each_method_is_measured_on_a_few_clips_of_each_class(tmp_path, audio_dir):
    output = tmp_path / "inversion.json"
    table = benchmark_inversion(
        InversionBenchmark(
            audio_dir=str(audio_dir),
            clips_per_class=1,
            work_dir=str(tmp_path / "work"),
            output=str(output),
        )
    )
    result = json.loads(output.read_text())
    assert table.strip() == output.with_suffix(".md").read_text().strip()
    assert "2 clips, 1 of each class" in table
    for method in ("torchaudio", "recipe", "default"):
        assert set(result["methods"][method]["spectral_convergence_by_class"]) == {"low", "high"}
        assert len(result["runs"][method]) == 2
        assert 0 < result["methods"][method]["spectral_convergence"] < 1
        assert result["methods"][method]["seconds"] > 0


def test_the_clip_itself_has_error_0_and_silence_has_error_1():
    clip = tone(440.0)
    assert _errors(clip, clip) == (0, 0)
    assert _errors(np.zeros_like(clip), clip) == pytest.approx((1, 1))


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
