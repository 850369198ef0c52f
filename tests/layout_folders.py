"""Small folders in the shape of public data sets, as they are downloaded, with real sounds.

Each clip is a tone whose pitch tells its class, so that a tiny network learns the classes at once,
unless labels go to the wrong clips.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 16_000
PITCHES_HZ = (300.0, 2_500.0)
"""Pitch of each class, in the order of the labels."""

URBANSOUND_HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
ESC_HEADER = "filename,fold,target,category,esc10,src_file,take\n"
FSD50K_HEADER = "fname,labels,mids,split\n"
FSDKAGGLE_HEADER = "fname,label,freesound_id,license\n"
BIRDCLEF_HEADER = "primary_label,secondary_labels,type,latitude,author,filename\n"

NUM_RECORDINGS = 4


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Files of a data set."""

    labels: Mapping[str, str]
    """Label of each clip, by path; several are joined by semicolons."""

    texts: Mapping[str, str] = field(default_factory=dict)
    """Tables, lists and other texts, by path."""

    noises: tuple[str, ...] = ()
    """Paths of audio files that are not clips of a class."""

    def write(self, root: Path) -> Path:
        """Write all files below a folder, and return it."""
        names = sorted({name for label in self.labels.values() for name in label.split(";")})
        for seed, (path, label) in enumerate(self.labels.items()):
            tones = [tone(names.index(name), seed) for name in label.split(";")]
            write_sound(root / path, np.sum(tones, axis=0))
        for path in self.noises:
            write_sound(root / path, tone(None, len(path)))
        for path, text in self.texts.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        return root


def tone(class_index: int | None, seed: int, duration_s: float = 0.6) -> np.ndarray:
    """Return a sound of a class `[S]`; of none, faint noise."""
    random = np.random.default_rng(seed)
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    noise = 0.003 * random.standard_normal(len(time_s))
    if class_index is None:
        return noise.astype(np.float32)
    pitch_hz = PITCHES_HZ[class_index] * random.uniform(0.95, 1.05)
    return (0.3 * np.sin(2 * np.pi * pitch_hz * time_s) + noise).astype(np.float32)


def write_sound(path: Path, samples: np.ndarray) -> None:
    """Write an audio file in the format of its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE_HZ)


def class_folders() -> Folder:
    """Return folders of classes, at different depths."""
    numbers = range(NUM_RECORDINGS)
    high = {f"birds/high/{number}.wav": "high" for number in numbers}
    return Folder(labels=high | {f"low/{number}.flac": "low" for number in numbers})


def speaker_folders() -> Folder:
    """Return folders of classes with a folder for each speaker."""
    return Folder(
        labels={
            f"{label}/{speaker}/{number}.wav": label
            for label in ("no", "yes")
            for speaker in ("ann", "bob", "eve")
            for number in range(2)
        }
    )


def split_folders() -> Folder:
    """Return the folders train, val and test, with folders of classes."""
    counts = {"train": 3, "val": 1, "test": 1}
    return Folder(
        labels={
            f"{split}/{label}/{number}.wav": label
            for split, count in counts.items()
            for label in ("high", "low")
            for number in range(count)
        }
    )


def urbansound8k() -> Folder:
    """Return UrbanSound8K with its CSV."""
    labels, rows = {}, []
    for class_index, label in {0: "air_conditioner", 3: "dog_bark"}.items():
        for number in range(NUM_RECORDINGS):
            name, fold = f"{10 * class_index + number}-{class_index}-0-0.wav", 1 + number % 2
            labels[f"audio/fold{fold}/{name}"] = label
            rows.append(f"{name},{name.split('-')[0]},0,0.6,1,{fold},{class_index},{label}\n")
    return Folder(
        labels=labels,
        texts={
            "metadata/UrbanSound8K.csv": URBANSOUND_HEADER + "".join(rows),
            "FREESOUNDCREDITS.txt": "",
        },
    )


def urbansound8k_without_csv() -> Folder:
    """Return UrbanSound8K's folders of folds."""
    return Folder(labels=urbansound8k().labels)


def esc_50() -> Folder:
    """Return ESC-50, whose rows are in the order of the names."""
    labels, rows = {}, []
    for target, label in {0: "dog", 14: "chirping_birds"}.items():
        for number in range(NUM_RECORDINGS):
            fold, source = 1 + number % 2, 100_000 + target + 100 * number
            name = f"{fold}-{source}-A-{target}.wav"
            labels[f"audio/{name}"] = label
            rows.append(f"{name},{fold},{target},{label},{target == 0},{source},A\n")
    texts = {"meta/esc50.csv": ESC_HEADER + "".join(sorted(rows)), "LICENSE": ""}
    return Folder(labels=labels, texts=texts)


def speech_commands() -> Folder:
    """Return Speech Commands, whose lists name the clips of validation and test."""
    speakers = {"train": ("0a", "1b", "2c"), "validation": ("3d",), "testing": ("4e",)}
    names = {
        split: [f"{word}/{speaker}_nohash_0.wav" for word in ("no", "yes") for speaker in group]
        for split, group in speakers.items()
    }
    lists = {
        f"{split}_list.txt": "\n".join(names[split]) + "\n" for split in ("validation", "testing")
    }
    return Folder(
        labels={name: name.split("/")[0] for group in names.values() for name in group},
        texts={**lists, "LICENSE": "", "_background_noise_/README.md": ""},
        noises=tuple(f"_background_noise_/{color}_noise.wav" for color in ("pink", "white")),
    )


def fsd50k() -> Folder:
    """Return FSD50K, where a third of the clips have both labels."""
    rows = [(number, ("Bark", "Meow", "Bark,Meow")[number % 3], "train") for number in range(9)]
    rows += [(9, "Bark,Meow", "val"), (10, "Meow", "val")]
    dev = "".join(f'{number},"{labels}","/m/{labels}",{split}\n' for number, labels, split in rows)
    return Folder(
        labels={
            f"FSD50K.dev_audio/{number}.wav": labels.replace(",", ";") for number, labels, _ in rows
        }
        | {"FSD50K.eval_audio/11.wav": "Meow"},
        texts={
            "FSD50K.ground_truth/dev.csv": FSD50K_HEADER + dev,
            "FSD50K.ground_truth/eval.csv": "fname,labels,mids\n11,Meow,/m/Meow\n",
            "FSD50K.ground_truth/vocabulary.csv": "0,Bark,/m/Bark\n",
        },
    )


def fsdkaggle2018() -> Folder:
    """Return FSDKaggle2018 with the tables that were published after the competition."""
    names = {f"{number:08x}": ("Hi-hat", "Saxophone")[number % 2] for number in range(8)}
    train = "".join(
        f"{name}.wav,{label},{number},CC0\n" for number, (name, label) in enumerate(names.items())
    )
    return Folder(
        labels={f"FSDKaggle2018.audio_train/{name}.wav": label for name, label in names.items()}
        | {"FSDKaggle2018.audio_test/ff.wav": "Hi-hat"},
        texts={
            "FSDKaggle2018.meta/train_post_competition.csv": FSDKAGGLE_HEADER + train,
            "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv": (
                "fname,label,usage\nff.wav,Hi-hat,Public\n"
            ),
        },
    )


def birdclef() -> Folder:
    """Return BirdCLEF 2023, with a soundscape that has no labels."""
    names = {
        f"{label}/XC{first + number}.ogg": label
        for label, first in {"abethr1": 10, "abhori1": 20}.items()
        for number in range(NUM_RECORDINGS)
    }
    rows = "".join(f"{label},[],['song'],,Rolf,{name}\n" for name, label in names.items())
    return Folder(
        labels={f"train_audio/{name}": label for name, label in names.items()},
        texts={"train_metadata.csv": BIRDCLEF_HEADER + rows, "eBird_Taxonomy_v2021.csv": ""},
        noises=("test_soundscapes/soundscape_29201.ogg",),
    )


def kaggle_urban_sound() -> Folder:
    """Return the urban sound challenge of Kaggle, whose table names clips without ending."""
    labels = {number: ("drilling", "siren")[number % 2] for number in range(8)}
    rows = "".join(f"{number},{label}\n" for number, label in labels.items())
    return Folder(
        labels={f"Train/{number}.wav": label for number, label in labels.items()},
        texts={"train.csv": f"ID,Class\n{rows}", "sample_submission.csv": "ID,Class\n9,siren\n"},
        noises=("Test/9.wav",),
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    """A known layout, and the summary's name for it."""

    make: Callable[[], Folder]
    layout: str
    num_test_clips: int = 0
    settings: Mapping[str, float] = field(default_factory=dict)
    """Settings of the dataset that docs/dataset.md gives with this layout."""


LAYOUTS = {
    "class folders": Case(make=class_folders, layout="class folders"),
    "speakers": Case(make=speaker_folders, layout="class folders with a folder for each speaker"),
    "train, val, test": Case(
        make=split_folders, layout="class folders in the folders test, train", num_test_clips=2
    ),
    "UrbanSound8K": Case(make=urbansound8k, layout="UrbanSound8K (metadata/UrbanSound8K.csv)"),
    "UrbanSound8K without CSV": Case(
        make=urbansound8k_without_csv, layout="UrbanSound8K without its CSV"
    ),
    "ESC-50": Case(make=esc_50, layout="ESC-50 (meta/esc50.csv)"),
    "Speech Commands": Case(
        make=speech_commands, layout="Speech Commands (validation_list.txt", num_test_clips=2
    ),
    "FSD50K": Case(
        make=fsd50k,
        layout="FSD50K (FSD50K.ground_truth/dev.csv",
        num_test_clips=1,
        settings={"max_quarantined_fraction": 0.9},
    ),
    "FSDKaggle2018": Case(
        make=fsdkaggle2018, layout="FSDKaggle2018 (FSDKaggle2018.meta/train", num_test_clips=1
    ),
    "BirdCLEF": Case(make=birdclef, layout="BirdCLEF (train_metadata.csv)"),
    "Kaggle urban sound": Case(make=kaggle_urban_sound, layout="Kaggle (train.csv)"),
}
"""Every known layout, by name."""
