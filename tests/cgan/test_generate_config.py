import pytest

from freqquest.cgan.generate_config import GenerateConfig


def config(**settings):
    return GenerateConfig(generator="g", label="siren", output_dir="o", **settings)


def test_numbers_out_of_range_are_refused():
    for name in ("num_clips", "oversample"):
        with pytest.raises(ValueError, match=f"`{name}=0` must be 1 or more"):
            config(**{name: 0})
    with pytest.raises(ValueError, match="`seed=-1` must be 0 or more"):
        config(seed=-1)


def test_candidates_and_a_judge_need_each_other():
    with pytest.raises(ValueError, match="`oversample=4` needs a `judge`, .*: give the best_model"):
        config(oversample=4)
    with pytest.raises(ValueError, match="`judge=j` needs `oversample` of 2 or more"):
        config(judge="j")
    assert config(oversample=4, judge="j").requirements.reads["judge"] == "j"


def test_candidates_are_listed_in_a_table_named_like_the_clips():
    assert config(seed=3).candidates_name == "siren_3_candidates.csv"
