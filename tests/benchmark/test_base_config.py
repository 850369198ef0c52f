import pytest

from freqquest.benchmark.cnn_config import CnnBenchmark
from freqquest.benchmark.inversion_config import InversionBenchmark
from freqquest.benchmark.preprocess_config import PreprocessBenchmark
from freqquest.benchmark.scale_config import ScaleBenchmark
from freqquest.errors import UserError


@pytest.mark.parametrize(
    ("config_type", "settings", "message"),
    [
        (InversionBenchmark, {"clips_per_class": 0}, "`clips_per_class=0` must be 1 or more"),
        (PreprocessBenchmark, {"memory_clips": (5, 0)}, "`memory_clips=5 0` must be 1 or more"),
        (PreprocessBenchmark, {"output": "a.csv"}, "`output=a.csv` must end in .json"),
        (CnnBenchmark, {"dataset_dir": "d", "max_epochs": 0}, "`max_epochs=0` must be 1 or more"),
        (CnnBenchmark, {"dataset_dir": "d", "presets": ()}, "`presets=` must name one or more"),
        (
            CnnBenchmark,
            {"dataset_dir": "d", "presets": ("default", "default")},
            "`presets=default default` must name one or more, each once",
        ),
        (ScaleBenchmark, {"num_clips": (5, 5)}, "`num_clips=5 5` must name the smaller number"),
        (ScaleBenchmark, {"num_nodes": (2, 3)}, "`num_nodes=2 3` must include 1"),
    ],
)
def test_settings_that_measure_nothing_are_refused(config_type, settings, message):
    with pytest.raises(ValueError, match=message):
        config_type(**settings)


def test_earlier_results_are_kept(tmp_path):
    output = tmp_path / "inversion.json"
    settings = {"audio_dir": "clips", "output": str(output)}
    InversionBenchmark(**settings).require_new_output()
    output.touch()
    with pytest.raises(UserError, match="`output=.*inversion.json` exists: choose another file"):
        InversionBenchmark(**settings).require_new_output()
    InversionBenchmark(**settings, overwrite=True).require_new_output()


def test_requirements_name_the_folders_that_are_read_and_written():
    requirements = CnnBenchmark(dataset_dir="data/clips", output="out/cnn.json").requirements
    assert requirements.reads == {
        "model": None,
        "dataset_dir": "data/clips",
        "audio_dir": None,
        "extra_clips": None,
    }
    assert requirements.writes == {"output": "out"}
