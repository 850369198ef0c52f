import copy

import pytest
import torch

from freqquest.cgan.graphs import EagerCapturer, StepGraphs, find_obstacle
from tests.cgan.conftest import CPU, epoch, small, trainer, weights


class BrokenCapturer(EagerCapturer):
    """Capturer that fails in the middle of a step, as CUDA does at an operation that waits."""

    def capture(self, function):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.nn.utils, "get_total_norm", self._fail)
            function()

    def _fail(self, *_):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")


class CountingCapturer(EagerCapturer):
    """Capturer that counts captures and replays."""

    def __init__(self):
        self.num_captures = self.num_replays = 0

    def capture(self, function):
        self.num_captures += 1

        def replay():
            self.num_replays += 1
            function()

        return replay


@pytest.mark.parametrize(
    ("preset", "num_steps", "num_variants"),
    # The default has a variant with a penalty, every eighth step; the fourth of them is captured.
    [("reference", 5, 1), ("default", 26, 2)],
)
def test_captured_steps_train_the_same_networks_as_plain_ones(preset, num_steps, num_variants):
    plain, captured = trainer(small(preset)), trainer(small(preset))
    capturer = CountingCapturer()
    captured.use_graphs(capturer)
    assert epoch(captured, num_steps=num_steps) == epoch(plain, num_steps=num_steps)
    assert torch.equal(weights(captured), weights(plain))
    for network in ("averaged_generator", "generator", "discriminator"):
        ours, others = (getattr(model, network).state_dict() for model in (captured, plain))
        torch.testing.assert_close(ours, others, rtol=0, atol=0)
    assert capturer.num_captures == num_variants
    assert capturer.num_replays == num_steps - 3 * num_variants


def test_a_failed_capture_is_named_and_steps_go_on_plainly():
    plain, captured = trainer(small("default")), trainer(small("default"))
    captured.use_graphs(BrokenCapturer())
    assert epoch(captured, num_steps=6) == epoch(plain, num_steps=6)
    assert torch.equal(weights(captured), weights(plain))
    assert captured.obstacle == (
        "the capture failed: operation not permitted when stream is capturing"
    )


def test_a_restored_training_captures_its_steps_again():
    whole = trainer(small("default"))
    whole.use_graphs(EagerCapturer())
    epoch(whole, 0, num_steps=8)
    state = copy.deepcopy(whole.state_dict())
    resumed = trainer(small("default"), seed=9)
    resumed.use_graphs(EagerCapturer())
    epoch(resumed, 5, num_steps=8)  # captures steps of the weights that are replaced
    resumed.load_state_dict(state)
    resumed.use_graphs(EagerCapturer())
    epoch(whole, 1, num_steps=8)
    epoch(resumed, 1, num_steps=8)
    assert torch.equal(weights(resumed), weights(whole))


def test_inputs_are_copied_so_that_replays_read_the_same_memory():
    seen = []
    graphs = StepGraphs(lambda inputs, _: seen.append(inputs[0].data_ptr()), EagerCapturer())
    for value in range(5):
        graphs([torch.full((3,), float(value))], False)
    assert len(set(seen)) == 1


def test_steps_are_not_captured_without_a_gpu_or_nccl(monkeypatch):
    assert find_obstacle(CPU) == "no GPU"
    gpu = torch.device("cuda")
    assert find_obstacle(gpu) is None
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_backend", lambda: "gloo")
    assert find_obstacle(gpu) == "processes communicate by gloo, not NCCL"
    monkeypatch.setattr(torch.distributed, "get_backend", lambda: "nccl")
    assert find_obstacle(gpu) is None
