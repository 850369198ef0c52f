import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from freqquest.cgan.evaluation import Evaluation
from freqquest.cgan.realism import RealismMetrics
from freqquest.cgan.tensorboard_logs import _TAGS, CganLogs
from tests.cgan.conftest import train_job


@pytest.fixture(scope="module")
def events(dataset_dir, tmp_path_factory):
    """Events of two epochs, the first of which was judged; the run folder is their parent's."""
    folder = tmp_path_factory.mktemp("logs")
    logs = CganLogs(train_job(dataset_dir, folder), first_epoch=1)
    metrics = dict.fromkeys(_TAGS, 0.5)
    evaluation = Evaluation(
        [
            RealismMetrics(
                num_clips=4,
                overall={"accuracy": 0.25, "frechet": None, "kernel": 0.5},
                by_class={"low": {"accuracy": 1.0, "kernel": 0.75}},
            )
        ]
    )
    logs.add_baseline(evaluation)
    logs.add_epoch(1, metrics, evaluation)
    logs.add_epoch(2, {name: 0.5 for name in _TAGS if not name.startswith("gpu_")}, None)
    logs.add_samples(torch.rand(2, 128, 512), np.zeros((2, 1000), np.float32), epoch=2)
    logs.close(metrics, evaluation)
    assert (folder / "samples" / "low_ep2.wav").exists()
    assert (folder / "spectrograms" / "epoch_002.png").exists()
    accumulator = EventAccumulator(str(folder / "tensorboard" / "cgan"))
    accumulator.Reload()
    return accumulator


def test_metrics_of_epochs_and_judgments_are_scalars(events):
    assert {*_TAGS.values(), "judge/accuracy", "judge_accuracy/low"} <= {*events.Tags()["scalars"]}
    assert "judge/frechet" not in events.Tags()["scalars"]
    assert [event.step for event in events.Scalars("loss/loss_D")] == [1, 2]
    assert [event.value for event in events.Scalars("judge/accuracy")] == [0.25]
    assert [event.value for event in events.Scalars("judge/mixture")] == [0.625]
    assert events.Scalars("final/judge_accuracy")[0].value == 0.25
    assert events.Scalars("final/judge_mixture")[0].value == 0.625


def test_metrics_that_this_machine_lacks_are_left_out(events):
    assert "gpu/power_w" in events.Tags()["scalars"]
    assert [event.step for event in events.Scalars("gpu/power_w")] == [1]


def test_samples_are_sounds_and_a_picture(events):
    assert {"generated/high", "generated/low"} <= {*events.Tags()["audio"]}
    assert [event.step for event in events.Images("generated/spectrograms")] == [2]
