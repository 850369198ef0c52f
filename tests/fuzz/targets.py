"""Every kind of file that freqquest reads: a small valid one, its reader, and the refusals."""

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from freqquest.errors import UserError
from freqquest.storage import locate
from tests.audio.encode import sound


@dataclass(repr=False)
class Target:
    """A kind of file."""

    read: Callable[[bytes], object]
    content: bytes = b""
    """A valid file."""
    json: Any = None
    """JSON in it, if there is any."""
    wrap: Callable[[bytes], bytes] = field(default=bytes)
    """Makes a file of the JSON's text."""
    refusals: tuple[type[Exception], ...] = (UserError,)
    """What its reader raises for damaged files."""

    def __post_init__(self) -> None:
        if self.json is not None:
            self.content = self.wrap(json.dumps(self.json).encode())

    def is_refused(self, content: bytes) -> bool:
        try:
            self.read(content)
        except self.refusals:
            return True
        return False


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
    hashes = {"files_sha256": {"training.npz": trial_progress._hash(b"state")}}

    def read(content: bytes) -> None:
        files = {"progress.json": content, "training.npz": b"state"}
        if trial_progress._read_record(files) is None:
            raise UserError("not whole")

    return Target(json=dataclasses.asdict(record) | hashes, read=read)


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
    return Target(
        content=buffer.getvalue(),
        read=lambda content: PackedClips(io.BytesIO(content)),
        refusals=(ValueError,),
    )


def scan_part(folder: Path) -> Target:
    from freqquest.detection.parts import read_part, write_part
    from tests.detection.test_parts import make_heard

    write_part(locate(folder), "abc", range(1), [make_heard(0, 1, 1.0)])
    file = folder / "abc-0-1.npz"
    return Target(content=file.read_bytes(), read=lambda content: read_part(save(file, content)))


def list_of_clips(folder: Path) -> Target:
    from tests.dataset.test_sources import find, make

    audio = make(folder / "audio", "a/x.wav", "b/y.flac", "z.wav", "w.wav")
    csv = folder / "clips.csv"
    return Target(
        content="path,label,recording,fold,split\n"
        'a/x.wav,"dog, barking",r1,1,train\nb/y.flac,café,,2,val\n'
        "z.wav,café;b,r3,,\nw.wav,,,,test\n".encode(),
        read=lambda content: find(audio, metadata=str(save(csv, content))),
    )


def annotations_csv(folder: Path) -> Target:
    return _annotations(
        folder,
        "sounds.csv",
        b"path;start_s;end_s;label;fold\na/x.wav;0,5;1;dog;1\nb/y.flac;1e1;12;cat;2\n",
    )


def audacity_labels(folder: Path) -> Target:
    return _annotations(folder, "x.txt", b"0.500000\t1.000000\tdog\n\\\t100.0\t900.0\n2\t3\tcat\n")


def raven_selections(folder: Path) -> Target:
    return _annotations(
        folder,
        "x.Table.1.selections.txt",
        b"Selection\tView\tBegin Time (s)\tEnd Time (s)\tFile Offset (s)\tBegin Path\tSpecies\n"
        b"1\tWaveform 1\t0.5\t1.5\t0.5\tC:\\a\\x.wav\tdog\n"
        b"1\tSpectrogram 1\t0.5\t1.5\t0.5\tC:\\a\\x.wav\tdog\n"
        b"2\tWaveform 1\t2.5\t3.5\t2.5\tx.wav\tcat\n",
    )


def _annotations(folder: Path, name: str, content: bytes) -> Target:
    from tests.dataset.test_sources import find, make

    audio = make(folder / "audio", "a/x.wav", "b/y.flac")
    file = folder / name
    return Target(
        content=content, read=lambda content: find(audio, annotations=str(save(file, content)))
    )


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


def form(folder: Path) -> Target:
    from freqquest.serving.errors import RequestError
    from freqquest.serving.uploads import file_of_form
    from tests.serving.test_uploads import FILE, FORM, TEXT, form

    return Target(
        content=form((TEXT, b"x"), (FILE, bytes(range(256)))),
        read=lambda content: file_of_form(content, FORM),
        refusals=(RequestError,),
    )


def form_type(folder: Path) -> Target:
    from freqquest.serving.errors import RequestError
    from freqquest.serving.uploads import file_of_form
    from tests.serving.test_uploads import FILE, FORM, form

    return Target(
        content=FORM.encode(),
        read=lambda content: file_of_form(form((FILE, b"x")), content.decode("latin-1")),
        refusals=(RequestError,),
    )


def _audio(content: bytes) -> Target:
    from freqquest.audio.clip import ClipConfig
    from freqquest.audio.decode import UnreadableClipError, duration_s, levels, load_clips

    config = ClipConfig(sample_rate_hz=8_000, duration_s=0.1)

    def read(content: bytes) -> None:
        refused = None
        for use in (
            lambda stream: load_clips(stream, config, [(0.0, None), (0.15, 0.2)]),
            duration_s,
            lambda stream: levels(stream, 0.1),
        ):
            try:
                use(io.BytesIO(content))
            except UnreadableClipError as error:
                refused = error
        if refused:
            raise refused

    return Target(content=content, read=read, refusals=(UnreadableClipError,))


def _by_libsndfile(file_format: str, subtype: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        import soundfile

        buffer = io.BytesIO()
        soundfile.write(buffer, sound(8_000, 0.4), 8_000, format=file_format, subtype=subtype)
        return _audio(buffer.getvalue())

    return make


def _by_ffmpeg(name: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        from tests.audio.encode import FORMATS, encode

        return _audio(encode(name, sound(FORMATS[name][2], 0.4)))

    return make


def save(file: Path, content: bytes) -> Any:
    """Write a file, and return its location."""
    file.write_bytes(content)
    return locate(file)


TARGETS: dict[str, Callable[[Path], Target]] = {
    make.__name__: make
    for make in (
        *(manifest, run_sections, trial_record, model_card, training_state, generator),
        *(gan_checkpoint, packed_clips, scan_part, list_of_clips, annotations_csv),
        *(audacity_labels, raven_selections, predictions, report_clips, form, form_type),
    )
}
TARGETS |= {
    f"{kind} {subtype}": _by_libsndfile(kind, subtype)
    for kind, subtype in (
        *(("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16")),
        *(("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16"), ("W64", "PCM_16")),
        *(("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")),
    )
}
TARGETS |= {name: _by_ffmpeg(name) for name in ("m4a", "webm", "wma", "aac", "amr", "avi")}
