"""Work of the generate job: write generated clips as WAV files. No Ray."""

import itertools
from collections.abc import Callable, Collection

import torch

from freqquest.audio.decode import encode_wav
from freqquest.cgan.config import GenerateConfig
from freqquest.cgan.generator import Generator
from freqquest.cgan.generator_file import load_generator
from freqquest.cgan.train_job import GeneratedClip
from freqquest.errors import UserError
from freqquest.storage import locate


def synthesize(
    config: GenerateConfig,
    existing_names: Collection[str] = (),
    on_clips: Callable[[int], None] = lambda _: None,
) -> list[GeneratedClip]:
    """Write WAV files of the requested classes; the same settings write the same files.

    Args:
        config: Settings of the job.
        existing_names: Names in the output folder that are kept, unless `overwrite` is set.
        on_clips: Called now and then with the number of clips done.

    Returns:
        The files, by class and index.

    Raises:
        UserError: The generator is unusable or does not know the label, or the output folder is
            a file or holds files of the same names.
    """
    folder = locate(config.output_dir)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"`output_dir={folder}` is a file: give a folder")
    device = torch.device("cuda" if config.use_gpu else "cpu")
    generator = Generator(load_generator(locate(config.generator), "generator"), device)
    classes = generator.classes
    clips = list(itertools.product(_requested(config.label, classes), range(config.num_clips)))
    files = [folder / f"{label}_{config.seed}_{index:03d}.wav" for label, index in clips]
    existing = [file for file in files if file.name in existing_names]
    if existing and not config.overwrite:
        raise UserError(
            f"{existing[0]} exists: choose another `output_dir` or `seed`, or pass `overwrite=True`"
        )
    on_clips(0)
    for start in range(0, len(clips), generator.clips_at_once):
        chunk = slice(start, start + generator.clips_at_once)
        keys = [(classes.index(label), index) for label, index in clips[chunk]]
        waveforms = generator.generate_clips(keys, config.seed)
        for file, waveform in zip(files[chunk], waveforms, strict=True):
            file.write_bytes(encode_wav(waveform, generator.sample_rate_hz))
        on_clips(start + len(keys))
    return [
        GeneratedClip(label=label, path=str(file), name=file.name)
        for (label, _), file in zip(clips, files, strict=True)
    ]


def _requested(label: str, classes: list[str]) -> list[str]:
    """Return the classes that a label names."""
    if label == "all":
        return classes
    if label not in classes:
        raise UserError(f"`label={label}` must be one of: {', '.join([*classes, 'all'])}")
    return [label]
