"""Agreement of training steps on a GPU with those on a CPU, and of replayed with plain ones.

torch alone, no Ray.
"""

import copy
import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from freqquest.benchmark.gpu_training import CONFIGS, Mode, PackedTraining
from freqquest.cgan import distributed
from freqquest.cgan.packed_clips import PackedClips
from freqquest.cgan.trainer import PENALTY_EVERY

_NUM_STEPS, _RESTART_AT = 6 * PENALTY_EVERY, 2 * PENALTY_EVERY
"""Steps that are compared, and those before a restart; the last penalty of both is replayed."""

_MAX_FIRST_DIFFERENCE = 1e-3
"""Largest relative difference of the first step's losses that rounding explains."""

_MAX_MEAN_DIFFERENCE = 0.05
"""The same for the means over all steps, which Adam's scaling of small gradients drives apart."""


class Agreement(TypedDict):
    """Comparison of a training with the plain one on the CPU."""

    networks: str
    name: str
    first_difference: float
    """Largest relative difference of the first step's losses."""
    mean_difference: float
    """Largest relative difference of the mean losses of all steps."""
    weight_difference: float
    """Distance of the final weights, relative to the way that they went."""
    obstacle: str | None
    """Reason why steps were not replayed, of a training that should."""
    agrees: bool


class _Trained(TypedDict):
    losses: Tensor
    start: Tensor
    weights: Tensor
    obstacle: str | None


def check_agreement(source: PackedClips, networks: str, device: torch.device) -> list[Agreement]:
    """Train from the same weights in several ways, in float32, and compare them.

    The ways: plainly on the CPU, plainly and replayed on the device, replayed in a process group of
    one, which communicates as several processes do, and replayed after a restart from a state.
    """
    expected = _train(source, networks, torch.device("cpu"), "plain")
    trained = {mode: _train(source, networks, device, mode) for mode in ("plain", "graphs")}
    with _group_of_one(device):
        trained["graphs, communicating"] = _train(source, networks, device, "graphs")
    trained["graphs, restarted"] = _train(source, networks, device, "graphs", restart=True)
    return [_compare(networks, name, expected, other) for name, other in trained.items()]


def _train(
    source: PackedClips, networks: str, device: torch.device, mode: Mode, restart: bool = False
) -> _Trained:
    config = dataclasses.replace(CONFIGS[networks], precision="float32")
    training = PackedTraining(source, config, device, mode)
    start = _weights(training)
    losses = []
    for step in range(_NUM_STEPS):
        if restart and step == _RESTART_AT:
            training.trainer.load_state_dict(copy.deepcopy(training.trainer.state_dict()))
            training.replay_steps()
        metrics = training.run(1)
        losses.append([metrics["loss_D"], metrics["loss_G"]])
    obstacle = training.trainer.obstacle if mode != "plain" else None
    training.trainer.use_graphs(None)  # the process group may end
    return {
        "losses": torch.tensor(losses),
        "start": start,
        "weights": _weights(training),
        "obstacle": obstacle,
    }


def _weights(training: PackedTraining) -> Tensor:
    networks = (training.trainer.generator, training.trainer.discriminator)
    return torch.cat(
        [value.detach().cpu().flatten() for each in networks for value in each.parameters()]
    )


def _compare(networks: str, name: str, expected: _Trained, other: _Trained) -> Agreement:
    first, mean = (
        float((theirs / ours - 1).abs().max())
        for ours, theirs in (
            (expected["losses"][0], other["losses"][0]),
            (expected["losses"].mean(0), other["losses"].mean(0)),
        )
    )
    way = (expected["weights"] - expected["start"]).norm()
    return {
        "networks": networks,
        "name": name,
        "first_difference": first,
        "mean_difference": mean,
        "weight_difference": float((other["weights"] - expected["weights"]).norm() / way),
        "obstacle": other["obstacle"],
        "agrees": first <= _MAX_FIRST_DIFFERENCE
        and mean <= _MAX_MEAN_DIFFERENCE
        and other["obstacle"] is None,
    }


@contextmanager
def _group_of_one(device: torch.device) -> Iterator[None]:
    """Let this process communicate with itself, by NCCL on a GPU."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    with tempfile.TemporaryDirectory() as folder:
        address = f"file://{Path(folder) / 'rendezvous'}"
        torch.distributed.init_process_group(backend, init_method=address, rank=0, world_size=1)
        distributed.COMMUNICATE_ALONE = True
        try:
            yield
        finally:
            distributed.COMMUNICATE_ALONE = False
            torch.distributed.destroy_process_group()
