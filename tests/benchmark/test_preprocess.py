import pytest

from freqquest.benchmark.preprocess import _command_rows, _describe_peaks, _plan_rows, _speed_rows
from freqquest.benchmark.preprocess_config import PreprocessBenchmark

MEDIANS = {
    "naive": 80.0,
    "limit": 300.0,
    "freqquest": 240.0,
    "windows": 210.0,
    "short_files": 200.0,
    "read": 5000.0,
    "command_s": 14.0,
    "same_command_again_s": 2.0,
}


def test_the_table_compares_speeds_with_the_loops_and_windows_with_short_files():
    rows = {what: (result, compared) for what, result, compared in _speed_rows(MEDIANS)}
    assert rows["freqquest's share of the frozen loop"] == ("80%", "")
    assert rows["freqquest, both views, Parquet written"] == (
        "240 clips/s",
        "3.0 times the recipes' loop",
    )
    assert rows["freqquest, windows of files of 10 clips"] == (
        "210 clips/s",
        "105% of the same sound in files of one clip (200 clips/s)",
    )


def test_the_table_tells_whole_commands_the_plan_and_memory():
    assert _command_rows(MEDIANS, 1155) == [
        ("whole command from cold, 1,155 clips, with Ray startup", "14.0 s", ""),
        ("identical rerun", "2.0 s", ""),
    ]
    plan = {"num_files": 1_000_000, "num_classes": 35, "seconds": 50.0, "peak_memory_mib": 1500.0}
    assert _plan_rows(plan) == [
        (
            "plan of 1,000,000 local files in 35 class folders",
            "50.0 s",
            "peak memory 1500 MiB",
        )
    ]
    peaks = _describe_peaks({"1000": 380.4, "20000": 412.0})
    assert peaks == "380 MiB with 1,000 clips, 412 MiB with 20,000 clips"


def test_the_plan_of_many_files_can_be_left_out_but_not_be_negative():
    assert PreprocessBenchmark(plan_files=0).plan_files == 0
    with pytest.raises(ValueError, match="`plan_files=-1` must be 0 or more"):
        PreprocessBenchmark(plan_files=-1)
