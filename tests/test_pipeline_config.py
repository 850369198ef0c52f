from freqquest.pipeline import _settings
from freqquest.pipeline_config import PipelineConfig


def test_the_demo_holds_out_more_clips_unless_a_share_is_given():
    def share(**settings):
        return PipelineConfig(**settings).preprocess_config.validation_fraction

    assert share() == 0.4
    assert share(validation_fraction=0.3) == 0.3
    assert share(audio_dir="clips") == 0.2


def test_both_trainings_get_the_tracker_which_the_run_folder_does_not_depend_on():
    plain, tracked = PipelineConfig(), PipelineConfig(track="wandb")
    assert tracked.tune_config.track == tracked.train_config.track == "wandb"
    assert _settings(tracked) == _settings(plain)
