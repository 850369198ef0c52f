"""Write a small folder of synthesized city sounds, for users who have no clips of their own yet.

NumPy, SciPy and soundfile only. The folder looks like a Kaggle competition's: labeled training clips,
unlabeled test clips, a sample submission. Clips come from made-up recordings: those of one recording share
their source, place and microphone, and test clips come from recordings that training never hears, so that
accuracy means here what it means with real clips. `demo_sounds` holds the sounds themselves.
Shapes: S samples, F frequency bins.
"""

import csv
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import fft

from freqquest.audio.demo_sounds import (
    SOUNDS,
    Axes,
    Signal,
    colored_noise,
    falling_harmonics,
    filtered,
    gain,
    log_uniform,
    make_axes,
    oscillator,
    power_law,
    resonances,
    unit_level,
    wander,
)

CLASS_NAMES = tuple(SOUNDS)

DEMO_NAME = "demo.json"
"""Written last: says that the folder is whole, and of which configuration."""

FIRST_TEST_RECORDING = 5_000
"""Test recordings are numbered from here, so that adding training recordings leaves them as they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoConfig:
    """How many demo clips to make, and from which seed. Saved in the folder's `demo.json`."""

    num_recordings: int = 12
    """Training recordings of each class."""

    clips_per_recording: int = 4
    """Training clips cut from each recording."""

    num_test_recordings: int = 4
    """Recordings of each class that only the test clips come from."""

    clips_per_test_recording: int = 2
    """Test clips cut from each test recording."""

    sample_rate_hz: int = 22_050
    """Samples per second of the WAV files."""

    duration_s: float = 4.0
    """Length of each clip."""

    seed: int = 0
    """Another seed makes other dogs, drills, engines, sirens and musicians."""

    def __post_init__(self) -> None:
        for name in ("num_recordings", "num_test_recordings"):
            if not 1 <= getattr(self, name) <= FIRST_TEST_RECORDING:
                raise ValueError(
                    f"{name}={getattr(self, name)} must be between 1 and {FIRST_TEST_RECORDING}: "
                    "each class needs recordings, and their numbers must not meet another class's"
                )
        for name in ("clips_per_recording", "clips_per_test_recording"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name}={getattr(self, name)} must be at least 1, else no clip would be written"
                )
        if not 8_000 <= self.sample_rate_hz <= 192_000:
            raise ValueError(
                f"sample_rate_hz={self.sample_rate_hz} must be between 8000 and 192000: "
                "a lower rate cannot hold the sounds; 22050 suits the rest of freqquest"
            )
        if not 0.5 <= self.duration_s <= 60:
            raise ValueError(
                f"duration_s={self.duration_s} must be between 0.5 and 60: "
                "a shorter clip may fall between two barks; 4.0 suits the rest of freqquest"
            )
        if self.seed < 0:
            raise ValueError(f"seed={self.seed} must not be negative: choose 0 or above")


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoFolder:
    """Where the parts of a demo folder lie."""

    train_dir: Path
    """Holds `<class>/<recording>-<class index>-0-<slice>.wav`."""

    test_dir: Path
    """Holds `clip_<number>.wav`, whose names tell nothing."""

    sample_submission: Path
    """CSV `ID,Class`: the test clips in the order a submission must keep, all with the same class."""

    test_labels: Path
    """CSV `ID,Class`: the truth, to score a submission with."""


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
    """Writes the demo folder, or returns at once if it is there already.

    The same configuration gives the same bytes, and an interrupted call is taken up by the next one.

    Args:
        folder: Created if missing. Gets `train/`, `test/`, two CSV files and, at last, `demo.json`.
        config: How many clips, how long, and from which seed.

    Raises:
        ValueError: If the folder holds demo clips of another configuration, or somebody's own clips.
    """
    demo = DemoFolder(
        train_dir=folder / "train",
        test_dir=folder / "test",
        sample_submission=folder / "sample_submission.csv",
        test_labels=folder / "test_labels.csv",
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
        saved = json.loads(config_file.read_text())
        wanted = asdict(config)
        differences = [
            f"{name} is {saved.get(name)} there, {wanted.get(name)} here"
            for name in wanted | saved
            if saved.get(name) != wanted.get(name)
        ]
        if differences:
            raise ValueError(
                f"{folder} holds demo clips of another configuration ({'; '.join(differences)}): "
                "choose another folder, or ask for the configuration in its demo.json"
            )
    elif demo.train_dir.exists() or demo.test_dir.exists():
        raise ValueError(
            f"{folder} already holds a train or test folder that is not freqquest's demo: "
            "choose another folder, so that your clips and the demo's stay apart"
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
    # No class has this index, so the order is drawn independently of every recording.
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
    """A clip [S], peak below 1: the sound in its room, what else is heard there, the recorder's level."""
    seed = np.random.SeedSequence([config.seed, clip.class_index, clip.recording])
    traits = np.random.default_rng(seed)
    moment = np.random.default_rng(seed.spawn(clip.slice + 1)[-1])
    axes = make_axes(config.sample_rate_hz, config.duration_s)

    level_db, background_db = traits.uniform(-32, -13), traits.uniform(-36, -12)
    room, microphone = _room(traits, axes), _microphone(traits, axes)
    background = _background(traits, moment, axes, microphone, clip.class_name)
    sound = filtered(SOUNDS[clip.class_name](traits, moment, axes), room * microphone)

    mix = unit_level(sound) + gain(background_db) * background
    mix = unit_level(mix[: round(config.sample_rate_hz * config.duration_s)])
    mix *= gain(level_db + moment.uniform(-2, 2))
    return mix * min(1.0, 0.95 / float(np.abs(mix).max()))


def _room(traits: Generator, axes: Axes) -> NDArray[np.complex64]:
    """The response [F] of a place: the direct sound and a tail of dying echoes."""
    decay_s, tail_level = log_uniform(traits, 0.02, 0.25), gain(traits.uniform(-20, 0))
    time_s = axes.time_s[: axes.sample_rate_hz]
    tail = traits.standard_normal(len(time_s), dtype=np.float32) * np.exp(-time_s / decay_s)
    tail *= tail_level / np.sqrt(np.sum(tail**2))
    tail[0] += 1
    response: NDArray[np.complex64] = fft.rfft(tail, len(axes.time_s))
    return response


def _microphone(traits: Generator, axes: Axes) -> Signal:
    """The response [F] of a microphone: dull or bright, up to some limit, and deaf below 25 Hz."""
    tilt = power_law(axes, traits.uniform(-0.3, 0.4), 1000)
    limit_hz = log_uniform(traits, 4_500, 20_000)
    return tilt * (axes.frequency_hz > 25) / (1 + (axes.frequency_hz / limit_hz) ** 4)


def _background(
    traits: Generator, moment: Generator, axes: Axes, microphone: Signal, class_name: str
) -> Signal:
    """Air and traffic, perhaps mains hum, talk, or another class's sound far off; at unit level."""
    has_hum, has_talk, has_distant = traits.random(3) < (0.3, 0.3, 0.35)
    hum_level, talk_level, distant_level = (gain(traits.uniform(-12, 0)) for _ in range(3))
    exponent, mains_hz = traits.uniform(0.3, 1.6), int(traits.choice([50, 60]))
    distant = str(traits.choice([name for name in CLASS_NAMES if name != class_name]))

    background = colored_noise(moment, axes, power_law(axes, exponent) * microphone)
    if has_hum:  # It enters behind the microphone, by the cable.
        hum = oscillator(
            axes, np.full_like(axes.time_s, mains_hz), falling_harmonics(axes, 1500, 0.7)
        )
        background += hum_level * unit_level(hum)
    if has_talk:
        background += talk_level * _talk(traits, moment, axes)
    if has_distant:
        far = filtered(SOUNDS[distant](traits, moment, axes), power_law(axes, 2, 1500) * microphone)
        background += distant_level * unit_level(far)
    return unit_level(background)


def _talk(traits: Generator, moment: Generator, axes: Axes) -> Signal:
    """Two people talking at once, no word understood; at unit level."""
    lowest, middle, highest = traits.uniform((350, 900, 2200), (700, 1800, 3000))
    vowels = resonances(axes, [lowest, middle, highest], quality=4)
    talk = np.zeros_like(axes.time_s)
    for pitch_hz in [log_uniform(traits, 90, 250) for _ in range(2)]:
        melody = pitch_hz * (1 + 0.2 * wander(moment, axes, 0.25))
        syllables = np.maximum(wander(moment, axes, 0.12), 0)
        talk += syllables * oscillator(axes, melody, falling_harmonics(axes, 2 * pitch_hz, 1.2))
    return unit_level(filtered(talk, vowels))
