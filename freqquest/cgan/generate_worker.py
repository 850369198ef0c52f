"""Work of the generate job: write generated clips as WAV files.

No Ray; the judge is in another process. Shapes: N clips, S samples.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from freqquest.audio.decode import encode_wav
from freqquest.cgan.candidates import Candidates
from freqquest.cgan.generate_config import GenerateConfig
from freqquest.cgan.generator import ClipKey, Generator
from freqquest.cgan.generator_file import load_generator
from freqquest.cgan.judging import Judge
from freqquest.cgan.train_job import GeneratedClip, Generation, JudgeStarter
from freqquest.errors import UserError
from freqquest.runs.tables import write_csv
from freqquest.storage import locate


def synthesize(
    config: GenerateConfig,
    existing_names: Collection[str] = (),
    on_clips: Callable[[int, str], None] = lambda _, __: None,
    start_judge: JudgeStarter | None = None,
) -> Generation:
    """Write WAV files of the requested classes; the same settings write the same files.

    Args:
        config: Settings of the job.
        existing_names: Names in the output folder that are kept, unless `overwrite` is set.
        on_clips: Called now and then with the number of clips done and a note.
        start_judge: Starts the judge that chooses among candidates.

    Returns:
        The files, and how they were chosen.

    Raises:
        UserError: The generator is unusable or does not know the label, the judge does not suit
            it, or the output folder is a file or holds files of the same names.
    """
    folder = locate(config.output_dir)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"`output_dir={folder}` is a file: give a folder")
    device = torch.device("cuda" if config.use_gpu else "cpu")
    generator = Generator(load_generator(locate(config.generator), "generator"), device)
    classes = generator.classes
    indices = [classes.index(label) for label in _requested(config.label, classes)]
    numbers = range(config.num_clips * config.oversample)
    clips = [(index, number) for index in indices for number in numbers]
    _refuse_existing(config, existing_names, [_name(clip, classes, config) for clip in clips])
    on_clips(0, "")
    recognized = None
    if start_judge is not None:
        judge = start_judge(classes, generator.duration_s)
        clips, table = _choose(clips, generator, judge, config, on_clips)
        write_csv(table, folder / config.candidates_name)
        recognized = int(table["recognized"].sum())
    written = []
    for keys, waveforms in _generate(clips, generator, config.seed):
        for key, waveform in zip(keys, waveforms, strict=True):
            name = _name(key, classes, config)
            file = folder / name
            file.write_bytes(encode_wav(waveform, generator.sample_rate_hz))
            written.append(GeneratedClip(label=classes[key[0]], path=str(file), name=name))
        on_clips(len(written), "")
    return Generation(
        clips=written, num_candidates=len(indices) * len(numbers), num_recognized=recognized
    )


def _generate(
    clips: Sequence[ClipKey], generator: Generator, seed: int
) -> Iterator[tuple[Sequence[ClipKey], np.ndarray]]:
    """Yield some clips at a time, with their waveforms `[N, S]`."""
    for start in range(0, len(clips), generator.clips_at_once):
        keys = clips[start : start + generator.clips_at_once]
        yield keys, generator.generate_clips(keys, seed)


def _choose(
    clips: Sequence[ClipKey],
    generator: Generator,
    judge: Judge,
    config: GenerateConfig,
    on_clips: Callable[[int, str], None],
) -> tuple[list[ClipKey], pd.DataFrame]:
    """Return the candidates to keep, and a table of all.

    Their sounds are not kept meanwhile, so that any number of candidates fits into memory.
    """
    outputs, heard = [], 0
    for keys, waveforms in _generate(clips, generator, config.seed):
        outputs.append(judge.classify_waveforms(waveforms, generator.sample_rate_hz))
        heard += len(keys)
        on_clips(0, f"judged {heard} of {len(clips)} candidates")
    probabilities, features = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
    classes, indices = generator.classes, np.array([index for index, _ in clips])
    is_kept, is_recognized = (np.zeros(len(clips), bool) for _ in range(2))
    for index in np.unique(indices):
        rows = np.flatnonzero(indices == index)
        candidates = Candidates(
            class_index=int(index),
            probabilities=probabilities[rows],
            features=features[rows],
            thresholds=judge.thresholds,
        )
        is_recognized[rows] = candidates.are_recognized
        is_kept[rows[candidates.choose(config.num_clips)]] = True
    table = pd.DataFrame(
        {
            "path": [_name(clip, classes, config) for clip in clips],
            "label": [classes[index] for index in indices],
            "Class": [classes[index] for index in probabilities.argmax(axis=1)],
            "probability": probabilities[np.arange(len(clips)), indices],
            "recognized": is_recognized,
            "kept": is_kept,
        }
    )
    return [clip for clip, keep in zip(clips, is_kept, strict=True) if keep], table


def _name(clip: ClipKey, classes: list[str], config: GenerateConfig) -> str:
    index, number = clip
    return f"{classes[index]}_{config.seed}_{number:03d}.wav"


def _refuse_existing(
    config: GenerateConfig, existing_names: Collection[str], names: list[str]
) -> None:
    """Refuse to replace files, unless told to.

    Raises:
        UserError: A file of these names exists.
    """
    if config.oversample > 1:
        names = [*names, config.candidates_name]
    existing = [name for name in names if name in existing_names]
    if existing and not config.overwrite:
        raise UserError(
            f"{locate(config.output_dir) / existing[0]} exists: choose another `output_dir` or "
            "`seed`, or pass `overwrite=True`"
        )


def _requested(label: str, classes: list[str]) -> list[str]:
    """Return the classes that a label names."""
    if label == "all":
        return classes
    if label not in classes:
        raise UserError(f"`label={label}` must be one of: {', '.join([*classes, 'all'])}")
    return [label]
