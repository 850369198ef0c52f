"""Checks and timings of the generator's training on a bare GPU machine: no Ray, no cluster.

It needs torch, NumPy, SciPy and safetensors, this package, and clips that `pack` has put into one
file on a machine where freqquest is installed:

    python -m freqquest.benchmark.gpu pack my_dataset clips.npz
    python -m freqquest.benchmark.gpu run clips.npz --output gpu.json
    python -m freqquest.benchmark.gpu train clips.npz --output generator.safetensors
    python -m freqquest.benchmark.gpu messages clips.npz
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from freqquest.benchmark.gpu_agreement import Agreement, check_agreement
from freqquest.benchmark.gpu_messages import INFINIBAND, NVLINK, communication_s, count_messages
from freqquest.benchmark.gpu_speed import Speed, count_step_work, measure_peak, measure_speed
from freqquest.benchmark.gpu_training import CONFIGS, MODES, PackedTraining
from freqquest.benchmark.inversion_speed import measure_inversion
from freqquest.cgan.devices import device_name
from freqquest.cgan.generator_file import GeneratorCard, generator_bytes
from freqquest.cgan.packed_clips import PackedClips, pack
from freqquest.dataset.order import num_steps


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands."""
    options = _parser().parse_args(arguments)
    options.command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m freqquest.benchmark.gpu",
        description="Check and time the generator's training on a GPU with torch alone.",
    )
    commands = parser.add_subparsers(required=True)
    packing = commands.add_parser("pack", help="pack a dataset's training clips into one file")
    packing.add_argument("dataset_dir", help="dataset made by the preprocess job")
    packing.add_argument("file", type=Path, help="file to write, ending in .npz")
    packing.set_defaults(command=_pack)
    running = commands.add_parser("run", help="check results and measure speed")
    running.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 64, 256])
    running.add_argument("--num-steps", type=int, default=64, help="steps of a timed run")
    running.add_argument("--networks", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    running.add_argument("--modes", nargs="+", choices=MODES, default=["plain", "graphs"])
    running.set_defaults(command=_run)
    training = commands.add_parser("train", help="train the default generator and time it")
    training.add_argument("--epochs", type=int, default=200)
    training.add_argument("--batch-size", type=int, default=16)
    training.add_argument("--learning-rate", type=float, help="default: the preset's")
    training.add_argument("--ema-decay", type=float, help="default: by the batch size")
    training.set_defaults(command=_train)
    counting = commands.add_parser("messages", help="count messages between CPU processes")
    counting.add_argument("--batch-size", type=int, default=16)
    counting.add_argument("--num-workers", type=int, nargs="+", default=[2, 4])
    counting.set_defaults(command=_count)
    for command in (running, training, counting):
        command.add_argument("file", type=Path, help="file that `pack` wrote")
    for command in (running, training):
        command.add_argument("--output", type=Path, required=True, help="file to write")
        command.add_argument("--device", default="cuda", help="cuda (default) or cpu")
    return parser


def _pack(options: argparse.Namespace) -> None:
    # These need pyarrow, which the other commands do without.
    from freqquest.cgan.images import image_scale
    from freqquest.dataset.manifest import load_manifest
    from freqquest.dataset.read import SplitReader, without_background
    from freqquest.storage import locate

    dataset = locate(options.dataset_dir)
    manifest = without_background(dataset, load_manifest(dataset))
    view, clip = manifest.views["cgan"], manifest.clip
    pack(
        SplitReader(dataset, manifest, "train", "cgan"),
        image_scale(view, clip, CONFIGS["default"].floor),
        manifest.classes,
        options.file,
        view=view,
        sample_rate_hz=clip.sample_rate_hz,
    )
    print(f"{options.file}: {options.file.stat().st_size / 2**20:.1f} MiB")


def _run(options: argparse.Namespace) -> None:
    device, source = torch.device(options.device), PackedClips(options.file)
    results: dict[str, object] = {"device": device_name(device), "torch": torch.__version__}
    agreements: list[Agreement] = []
    speeds: list[Speed] = []
    peak = measure_peak(device)
    results |= {"peak": dataclasses.asdict(peak), "agreement": agreements, "speed": speeds}
    for networks in options.networks:
        for batch_size in options.batch_sizes:
            work = count_step_work(source, networks, batch_size, device)
            for mode in options.modes:
                speed = measure_speed(
                    source,
                    networks,
                    batch_size,
                    mode,
                    num_steps=options.num_steps,
                    device=device,
                    peak=peak,
                    work=work,
                )
                speeds.append(speed)
                print(json.dumps(speed), flush=True)
                _write(options.output, results)  # keeps what there is if the rest fails
    results["inversion"] = measure_inversion(device)
    print(json.dumps(results["inversion"]))
    for networks in options.networks:
        for agreement in check_agreement(source, networks, device):
            agreements.append(agreement)
            print(json.dumps(agreement), flush=True)
        _write(options.output, results)


def _train(options: argparse.Namespace) -> None:
    """Train as the job does, but without judge, samples and checkpoints; save the generator."""
    started = time.perf_counter()
    device, source = torch.device(options.device), PackedClips(options.file)
    changes = {
        name: value
        for name in ("learning_rate", "ema_decay")
        if (value := getattr(options, name)) is not None
    }
    scaled = CONFIGS["default"].with_batch_size(options.batch_size)
    cgan_config = dataclasses.replace(scaled, **changes)
    training = PackedTraining(source, cgan_config, device, "graphs")
    steps = num_steps(len(source), options.batch_size)
    for epoch in range(options.epochs):
        metrics = training.run(steps)
        if epoch == 0 or (epoch + 1) % 20 == 0:
            values = {name: round(value, 3) for name, value in metrics.items()}
            print(f"epoch {epoch + 1}, {time.perf_counter() - started:.1f} s: {values}", flush=True)
    card = GeneratorCard(
        classes=source.classes,
        sample_rate_hz=source.sample_rate_hz,
        view=source.view,
        scale=source.scale,
        cgan_config=cgan_config,
        preset="default",
        epochs=options.epochs,
        dataset_sha256="packed",
    )
    weights = training.trainer.averaged_generator.state_dict()
    options.output.write_bytes(generator_bytes(weights, card))
    print(f"{options.output}: {time.perf_counter() - started:.1f} s on {device_name(device)}")


def _count(options: argparse.Namespace) -> None:
    for networks in CONFIGS:
        for num_workers in options.num_workers:
            messages = count_messages(options.file, networks, options.batch_size, num_workers)
            print(json.dumps(messages), flush=True)
        for gpus, network in ((8, NVLINK), (64, INFINIBAND)):
            milliseconds = 1000 * communication_s(messages, gpus, network)
            print(f"{networks}, {gpus} GPUs, reckoned: {milliseconds:.2f} ms a step", flush=True)


def _write(file: Path, results: dict[str, object]) -> None:
    file.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
