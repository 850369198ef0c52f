"""Files that freqquest writes and reads again."""

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freqquest.errors import UserError
from freqquest.storage import locate
from tests.fuzz.targets import Target, save


def manifest(folder: Path) -> Target:
    from freqquest.audio.clip import ClipConfig
    from freqquest.audio.spectrogram import CGAN_VIEW, CNN_VIEW
    from freqquest.dataset.manifest import Manifest, Normalization, Shard, load_manifest
    from freqquest.embedding.config import EmbeddingConfig

    counts = {"train": {"high": 8}, "validation": {}, "test": {"": 3}}
    flat = Normalization(
        mean=0.0, standard_deviation=1.0, band_means=[0.0], band_standard_deviations=[1.0]
    )
    Manifest(
        version=4,
        settings={"sample_rate": 22_050, "split": "recordings"},
        sources_sha256="0",
        classes=["high", "low"],
        clip=ClipConfig(),
        views={"cnn": CNN_VIEW, "cgan": CGAN_VIEW},
        split_description="unseen recordings",
        num_clips=counts,
        num_recordings=counts,
        num_rows={"train": 8},
        seconds={"train": {"high": 1.5}},
        sample_rates={"22050": 8},
        num_quarantined=1,
        normalization={"cnn": flat},
        shards=[
            Shard(split="train", name="part-00000.parquet", num_rows=8, num_bytes=9, sha256="0")
        ],
        embedding=EmbeddingConfig(
            name="a.onnx", sha256="0", sample_rate_hz=1_600, tensor="a", num_samples=9, num_values=9
        ),
    ).save(locate(folder))
    return Target(
        json=json.loads((folder / "manifest.json").read_text()),
        read=lambda content: load_manifest(save(folder / "manifest.json", content).parent),
    )


def unfinished_dataset(folder: Path) -> Target:
    from freqquest.dataset.earlier_dataset import _unfinished_settings

    return Target(
        json={"settings": {"seed": 0}, "run": "0"},
        read=lambda content: _unfinished_settings(save(folder / "unfinished.json", content).parent),
    )


def shard(folder: Path) -> Target:
    from freqquest.dataset import shard

    plan = SimpleNamespace(sha256="0", split="train", name="part-00000.parquet")
    statistics = shard.ShardStatistics(
        plan_sha256="0",
        quarantined=[],
        warnings=[],
        moments={"cnn": [[1.0]] * 3},
        seconds={"a": 1.0},
        num_padded=0,
        num_cut=0,
        sample_rates={"8000": 1},
    )

    def wrap(footer: bytes) -> bytes:
        metadata = {shard._FOOTER_KEY: footer, shard._FOOTER_HASH_KEY: shard.sha256(footer)}
        sink = io.BytesIO()
        table = pa.table({"row": [1, 2, 3]}).replace_schema_metadata(metadata)
        pq.write_table(table, sink, write_page_checksum=True)
        return sink.getvalue()

    def read(content: bytes) -> None:
        if shard._load_finished(plan, save(folder / "part.parquet", content)) is None:
            raise UserError("to be made again")

    return Target(json=dataclasses.asdict(statistics), wrap=wrap, read=read)


def run_sections(folder: Path) -> Target:
    from freqquest.runs.folder import RunFolder

    settings = {"epochs": 2, "classes": ["a"]}

    def read(content: bytes) -> None:
        save(folder / "metrics.json", b'{"cnn": {"accuracy": 0.5}}')
        save(folder / "config.json", content)
        RunFolder(str(folder), "cnn", settings)
        save(folder / "config.json", json.dumps({"cnn": settings}).encode())
        save(folder / "metrics.json", content)
        RunFolder(str(folder), "cnn", settings).finished()

    return Target(json={"cnn": settings, "preprocess": {}}, read=read)


def trial_record(folder: Path) -> Target:
    from freqquest.cnn.search import trial_progress

    record = trial_progress.TrialProgress(scores=[0.5], history=[{"loss": 1.0}], num_splits=1)

    def read(content: bytes) -> None:
        file = save(folder / "progress.json", content)
        if trial_progress._read_record(file) == trial_progress.TrialProgress():
            raise UserError("the trial starts again")

    return Target(json=dataclasses.asdict(record), read=read)


def model_card(folder: Path) -> Target:
    from freqquest.cnn.abstention import CoverageCurve, Point
    from freqquest.cnn.model_file import read_card
    from tests.cnn.conftest import CLASSES, CLIP_NORMALIZATION, make_card

    short = dataclasses.replace(
        CLIP_NORMALIZATION, band_means=[0.0], band_standard_deviations=[1.0]
    )
    card = dataclasses.replace(
        make_card(CLASSES, short),
        cnn_config={"band_shift": 4},
        coverage_curve=CoverageCurve([Point(0.5, 0.5, 0.5)]),
        version=3,
    )

    def wrap(card: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("freqquest.json", card)
        return buffer.getvalue()

    return Target(
        json=dataclasses.asdict(card),
        wrap=wrap,
        read=lambda content: read_card(save(folder / "best_model.keras", content)),
    )


def training_state(folder: Path) -> Target:
    from freqquest.cnn.frameworks import keras
    from freqquest.cnn.training_state import TrainingState, UnusableStateError

    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    plateau = keras.callbacks.EarlyStopping()
    plateau.on_train_begin()
    evaluation = SimpleNamespace(seconds=1.0, best=0.5, best_weights=model.get_weights())
    state = TrainingState(model, model, evaluation, [plateau])
    state.set_model(model)
    saved = state.save()
    with np.load(io.BytesIO(saved)) as content:
        arrays = dict(content)
    header = json.loads(str(arrays.pop("header")))

    def wrap(text: bytes) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, header=np.array(text.decode()), **arrays)
        return buffer.getvalue()

    def read(content: bytes) -> None:
        state.restore(content)
        state.on_train_begin()
        state.save()

    return Target(json=header, wrap=wrap, read=read, refusals=(UnusableStateError,))


def generator(folder: Path) -> Target:
    from freqquest.cgan.generator_file import generator_bytes, read_generator
    from tests.cgan.conftest import card, loud_weights

    valid = generator_bytes(loud_weights("default", noise_dim=4), card("default", noise_dim=4))
    size = int.from_bytes(valid[:8], "little")
    header = json.loads(valid[8 : 8 + size])

    def wrap(card: bytes) -> bytes:
        changed = header | {"__metadata__": {"freqquest": card.decode()}}
        text = json.dumps(changed).encode()
        return len(text).to_bytes(8, "little") + text + valid[8 + size :]

    return Target(
        json=json.loads(header["__metadata__"]["freqquest"]), wrap=wrap, read=read_generator
    )


def gan_checkpoint(folder: Path) -> Target:
    import torch

    from freqquest.cgan.distributed import Worker
    from freqquest.cgan.recorder import restore
    from freqquest.runs import layout
    from freqquest.runs.checkpoints import Checkpoints
    from tests.cgan.conftest import small, trainer

    model = trainer(small("default", noise_dim=4))
    checkpoints = folder / layout.CHECKPOINTS_DIR
    job = SimpleNamespace(run=locate(folder), settings_sha256="0")
    state = {"trainer": model.state_dict(), "history": [], "settings_sha256": "0"}
    buffer = io.BytesIO()
    torch.save(state, buffer)

    def read(content: bytes) -> None:
        for file in checkpoints.glob("*"):
            file.unlink()
        Checkpoints(folder=locate(checkpoints)).save(1, content)
        restore(model, job, Worker())

    return Target(content=buffer.getvalue(), read=read)


def packed_clips(folder: Path) -> Target:
    from freqquest.cgan.packed_clips import PackedClips, pack
    from tests.cgan.conftest import FakeSource
    from tests.cgan.test_packed_clips import AUDIO, WITH_FLOOR

    buffer = io.BytesIO()
    pack(FakeSource([1]), WITH_FLOOR, ["high", "low"], buffer, **AUDIO)
    return Target(content=buffer.getvalue(), read=lambda content: PackedClips(io.BytesIO(content)))


def scan_part(folder: Path) -> Target:
    from freqquest.detection.parts import read_part, write_part
    from tests.detection.test_parts import make_heard

    write_part(locate(folder), "abc", range(1), [make_heard(0, 1, 1.0)])
    file = folder / "abc-0-1.npz"
    return Target(content=file.read_bytes(), read=lambda content: read_part(save(file, content)))


def scan_outputs(folder: Path) -> Target:
    from freqquest.detection.parts import mark_outputs, marked_outputs, open_parts

    output = locate(folder / "events.csv")
    mark_outputs(open_parts(output, {"hop_s": 1.0}), ["events.csv"])
    parts = folder / "events.csv.parts"

    def read(content: bytes) -> None:
        save(parts / "outputs.json", content)
        save(parts / "settings.json", content)
        if not marked_outputs(output):
            raise UserError("nothing known")
        open_parts(output, {"hop_s": 1.0})

    return Target(json=["events.csv"], read=read)


def predictions(folder: Path) -> Target:
    from freqquest.runs import layout
    from freqquest.runs.predictions import read_predictions, write_predictions
    from tests.runs.clips_run import make_predictions

    write_predictions(make_predictions(), locate(folder))
    file = folder / layout.PREDICTIONS_NAME
    return Target(
        content=file.read_bytes(),
        read=lambda content: read_predictions(save(file, content).parent, False),
    )


def report_clips(folder: Path) -> Target:
    from freqquest.runs.clip_files import read_clips, write_clips

    file = folder / "clips.parquet"
    write_clips([{"row": 3, "sound": b"x" * 50, "picture": None}], locate(file))
    return Target(content=file.read_bytes(), read=lambda content: read_clips(save(file, content)))


OWN_FILES: dict[str, Callable[[Path], Target]] = {
    make.__name__: make
    for make in (
        *(manifest, unfinished_dataset, shard, run_sections, trial_record, model_card, generator),
        *(training_state, gan_checkpoint, packed_clips, scan_part, scan_outputs, predictions),
        report_clips,
    )
}
