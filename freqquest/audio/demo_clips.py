"""Demo clips: a small folder of synthesized city sounds for users without clips of their own.

NumPy, SciPy and soundfile only. The folder looks like a Kaggle competition's: labeled training
clips, unlabeled test clips, a sample submission. Clips belong to made-up recordings: those of one
recording share their source, room and microphone. Test clips come from recordings that are not in
the training clips, so that accuracy means the same as with real clips. The sounds themselves are in
`demo_sounds`, their recording in `demo_recording`.
Shapes: S samples.
"""

import csv
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from freqquest.audio.clip import ClipConfig
from freqquest.audio.demo_folder import (
    DEMO_NAME,
    SAMPLE_SUBMISSION_NAME,
    TEST_DIR,
    TEST_LABELS_NAME,
    TRAIN_DIR,
)
from freqquest.audio.demo_recording import record
from freqquest.audio.demo_signals import Signal, make_axes
from freqquest.audio.demo_sounds import SOUNDS
from freqquest.errors import UserError

CLASS_NAMES = tuple(SOUNDS)

FIRST_TEST_RECORDING = 5_000
"""Number of the first test recording: adding training recordings does not change the test clips."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoConfig:
    """Number, length and seed of the demo clips. Saved in the folder's `demo.json`."""

    num_recordings: int = 10
    """Training recordings per class."""

    clips_per_recording: int = 6
    """Clips cut from each training recording."""

    num_test_recordings: int = 8
    """Test recordings per class."""

    clips_per_test_recording: int = 2
    """Clips cut from each test recording."""

    sample_rate_hz: int = ClipConfig().sample_rate_hz
    """Sample rate of the WAV files, in Hz."""

    duration_s: float = ClipConfig().duration_s
    """Length of each clip, in seconds."""

    seed: int = 0
    """Seed of all sounds: another seed makes other dogs, drills, engines, sirens and musicians."""

    def __post_init__(self) -> None:
        for name in ("num_recordings", "num_test_recordings"):
            if not 1 <= getattr(self, name) <= FIRST_TEST_RECORDING:
                raise ValueError(
                    f"`{name}={getattr(self, name)}` must be between 1 and {FIRST_TEST_RECORDING}: "
                    "each class needs recordings, with numbers that no other class uses"
                )
        for name in ("clips_per_recording", "clips_per_test_recording"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}={getattr(self, name)}` must be 1 or more")
        if not 8_000 <= self.sample_rate_hz <= 192_000:
            raise ValueError(
                f"`sample_rate_hz={self.sample_rate_hz}` must be between 8000 and 192000: "
                "a lower rate cannot hold the sounds; 22050 suits the rest of freqquest"
            )
        if not 0.5 <= self.duration_s <= 60:
            raise ValueError(
                f"`duration_s={self.duration_s}` must be between 0.5 and 60: "
                "a shorter clip may fall between two barks; 4.0 suits the rest of freqquest"
            )
        if self.seed < 0:
            raise ValueError(f"`seed={self.seed}` must be 0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoFolder:
    """Paths of the parts of a demo folder."""

    train_dir: Path
    """Folder of training clips, `<class>/<recording>-<class index>-0-<slice>.wav`."""

    test_dir: Path
    """Folder of test clips, `clip_<number>.wav`; the names do not reveal the class."""

    sample_submission: Path
    """CSV `ID,Class` with the test clips in the order of a submission, all with the same class."""

    test_labels: Path
    """CSV `ID,Class` with the true classes, to score a submission."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clip:
    """One clip to synthesize."""

    class_index: int
    recording: int
    slice: int

    @property
    def class_name(self) -> str:
        return CLASS_NAMES[self.class_index]

    @property
    def file_name(self) -> str:
        """As in UrbanSound8K: `<recording>-<class index>-<occurrence>-<slice>`."""
        recording = (self.class_index + 1) * 2 * FIRST_TEST_RECORDING + self.recording
        return f"{recording}-{self.class_index}-0-{self.slice}.wav"


def write_demo_clips(folder: Path, config: DemoConfig = DemoConfig()) -> DemoFolder:
    """Write the demo folder, or return at once if it is complete.

    The same configuration gives the same bytes. The next call completes an interrupted one.

    Args:
        folder: Folder to write, created if missing. It gets `train/`, `test/`, two CSV files and,
            last, `demo.json`.
        config: Number, length and seed of the clips.

    Raises:
        UserError: The folder holds demo clips of another configuration, or other clips.
    """
    demo = DemoFolder(
        train_dir=folder / TRAIN_DIR,
        test_dir=folder / TEST_DIR,
        sample_submission=folder / SAMPLE_SUBMISSION_NAME,
        test_labels=folder / TEST_LABELS_NAME,
    )
    finished, unfinished = folder / DEMO_NAME, folder / f"{DEMO_NAME}.partial"
    _refuse_other_contents(demo, finished if finished.exists() else unfinished, config)
    if finished.exists():
        return demo

    folder.mkdir(parents=True, exist_ok=True)
    unfinished.write_text(json.dumps(asdict(config), indent=2))
    _write_train(demo, config)
    _write_test(demo, config)
    unfinished.replace(finished)
    return demo


def _refuse_other_contents(demo: DemoFolder, config_file: Path, config: DemoConfig) -> None:
    folder = config_file.parent
    if config_file.exists():
        content = config_file.read_bytes()
        try:
            saved = dict(json.loads(content))
        except Exception as error:  # a damaged file may raise any
            raise UserError(f"{config_file} is corrupt ({error}): remove {folder}") from error
        expected = asdict(config)
        differences = [
            f"{name} is {saved.get(name)}, not {expected.get(name)}"
            for name in expected | saved
            if saved.get(name) != expected.get(name)
        ]
        if differences:
            raise UserError(
                f"{folder} holds demo clips of another configuration ({'; '.join(differences)}): "
                f"choose another folder, or use the configuration in its {DEMO_NAME}"
            )
    elif demo.train_dir.exists() or demo.test_dir.exists():
        raise UserError(
            f"{folder} holds a train or test folder that is not freqquest's demo: "
            "choose another folder"
        )


def _write_train(demo: DemoFolder, config: DemoConfig) -> None:
    for class_name in CLASS_NAMES:
        (demo.train_dir / class_name).mkdir(parents=True, exist_ok=True)
    for clip in _list_clips(range(config.num_recordings), config.clips_per_recording):
        _write_wav(demo.train_dir / clip.class_name / clip.file_name, clip, config)


def _write_test(demo: DemoFolder, config: DemoConfig) -> None:
    demo.test_dir.mkdir(exist_ok=True)
    numbers = range(FIRST_TEST_RECORDING, FIRST_TEST_RECORDING + config.num_test_recordings)
    clips = _list_clips(numbers, config.clips_per_test_recording)
    # No class has this index, so the order is independent of every recording.
    random = np.random.default_rng([config.seed, len(CLASS_NAMES)])
    labels = {}
    for number, index in enumerate(random.permutation(len(clips))):
        clip = clips[index]
        name = f"clip_{number:03d}.wav"
        _write_wav(demo.test_dir / name, clip, config)
        labels[name] = clip.class_name
    _write_csv(demo.test_labels, labels.items())
    _write_csv(
        demo.sample_submission,
        ((name, CLASS_NAMES[0]) for name in random.permutation(list(labels))),
    )


def _list_clips(recordings: Iterable[int], clips_per_recording: int) -> list[_Clip]:
    return [
        _Clip(class_index=class_index, recording=recording, slice=slice_index)
        for class_index in range(len(CLASS_NAMES))
        for recording in recordings
        for slice_index in range(clips_per_recording)
    ]


def _write_wav(path: Path, clip: _Clip, config: DemoConfig) -> None:
    soundfile.write(path, _synthesize(clip, config), config.sample_rate_hz, subtype="PCM_16")


def _write_csv(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("ID", "Class"), *rows])


def _synthesize(clip: _Clip, config: DemoConfig) -> Signal:
    """Return a clip `[S]`, the same for the same configuration."""
    seed = np.random.SeedSequence([config.seed, clip.class_index, clip.recording])
    traits = np.random.default_rng(seed)
    moment = np.random.default_rng(seed.spawn(clip.slice + 1)[-1])
    axes = make_axes(config.sample_rate_hz, config.duration_s)
    return record(clip.class_name, traits, moment, axes)
