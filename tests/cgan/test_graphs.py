import copy
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from freqquest.cgan.graphs import CudaCapturer, EagerCapturer, StepGraphs, find_obstacle
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


def test_a_restored_training_forgets_captures_of_the_optimizers_that_it_replaces():
    model, other = trainer(small("default")), trainer(small("default"))
    epoch(other, num_steps=1)
    capturer = CountingCapturer()
    model.use_graphs(capturer)
    epoch(model, num_steps=8)
    assert capturer.num_replays
    capturer.num_replays = 0
    model.load_state_dict(copy.deepcopy(other.state_dict()))
    epoch(model, 1, num_steps=8)
    epoch(other, 1, num_steps=8)
    assert capturer.num_replays == 0
    assert torch.equal(weights(model), weights(other))


class FrozenCapturer(EagerCapturer):
    """Capturer whose replays see the number of updates at the time of the capture, as graphs do."""

    def __init__(self, model):
        self.model = model

    def capture(self, function):
        captured = self.model._num_updates

        def replay():
            now, self.model._num_updates = self.model._num_updates, captured
            function()
            self.model._num_updates = now

        return replay


def test_a_step_depends_on_no_number_in_python_that_changes():
    plain, captured = trainer(small("default")), trainer(small("default"))
    captured.use_graphs(FrozenCapturer(captured))
    assert epoch(captured, num_steps=10) == epoch(plain, num_steps=10)
    ours, others = (model.averaged_generator.state_dict() for model in (captured, plain))
    torch.testing.assert_close(ours, others, rtol=0, atol=0)


class FailingGraph:
    """CUDA graph whose capture is invalid, so that its end fails too."""

    num_ends = 0

    def capture_begin(self, *_, **__):
        pass

    def capture_end(self):
        FailingGraph.num_ends += 1
        raise RuntimeError("operation failed due to a previous error during capture")


def test_a_failed_cuda_capture_is_abandoned_and_tells_its_cause(monkeypatch):
    abandoned = []
    fakes = {
        "Stream": lambda device: SimpleNamespace(device=device),
        "stream": lambda _: nullcontext(),
        "graph_pool_handle": lambda: (0, 1),
        "CUDAGraph": FailingGraph,
        "synchronize": lambda _: None,
        "empty_cache": lambda: None,
        "default_generators": [
            SimpleNamespace(clone_state=lambda: "state", graphsafe_set_state=abandoned.append)
        ],
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    for name in ("_cuda_endAllocateToPool", "_cuda_releasePool"):
        monkeypatch.setattr(
            torch._C, name, lambda *pool, name=name: abandoned.append((name, *pool)), raising=False
        )

    def wait_for_the_device():
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        CudaCapturer(torch.device("cuda:0")).capture(wait_for_the_device)
    assert FailingGraph.num_ends == 1
    pool = (0, (0, 1))
    assert abandoned == [("_cuda_endAllocateToPool", *pool), ("_cuda_releasePool", *pool), "state"]


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
