"""The loops of the two published recipes from clips to spectrograms, the baseline of freqquest.

One process, one clip after the other, everything kept in memory. As a program, it prints the
seconds that the loop takes, without imports. Shapes: N clips.
"""

import sys
import time

import librosa
import numpy as np
import soundfile
import torch
import torchaudio

_RATE_HZ, _NUM_SAMPLES = 22_050, 88_200


def cnn_recipe(paths: list[str]) -> np.ndarray:
    """Return the log-mel spectrograms `[N, 128, 173]` of recipe 1, made with librosa."""
    spectrograms = []
    for path in paths:
        waveform, _ = librosa.load(path, sr=_RATE_HZ, mono=True)
        waveform = librosa.util.fix_length(waveform, size=_NUM_SAMPLES)
        power = librosa.feature.melspectrogram(
            y=waveform, sr=_RATE_HZ, n_fft=2048, hop_length=512, n_mels=128
        )
        spectrograms.append(librosa.power_to_db(power, ref=np.max))
    return np.array(spectrograms)


def cgan_recipe(paths: list[str]) -> torch.Tensor:
    """Return the mel spectrograms ln(1 + power) `[N, 1, 128, 512]` of recipe 2, by torchaudio."""
    transform = mel_transform()
    return torch.stack([cgan_spectrogram(path, transform) for path in paths])


def mel_transform() -> torchaudio.transforms.MelSpectrogram:
    """Return the transform of recipe 2 from a waveform to a mel spectrogram."""
    return torchaudio.transforms.MelSpectrogram(
        sample_rate=_RATE_HZ, n_fft=1024, hop_length=256, n_mels=128
    )


def cgan_spectrogram(path: str, transform: torchaudio.transforms.MelSpectrogram) -> torch.Tensor:
    """Return the spectrogram `[1, 128, 512]` that recipe 2 makes of a clip."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    waveform = torch.from_numpy(samples.T).mean(dim=0, keepdim=True)
    if rate != _RATE_HZ:
        waveform = torchaudio.functional.resample(waveform, rate, _RATE_HZ)
    waveform = torch.nn.functional.pad(
        waveform[:, :_NUM_SAMPLES], (0, max(0, _NUM_SAMPLES - waveform.shape[1]))
    )
    spectrogram = torch.log1p(transform(waveform))
    return torch.nn.functional.pad(spectrogram, (0, 512 - spectrogram.shape[2]))


def main() -> None:
    """Time both recipes on the paths that standard input lists."""
    paths = sys.stdin.read().splitlines()
    for recipe in (cnn_recipe, cgan_recipe):
        recipe(paths[:2])  # one-time setup is not part of the loop
    started = time.perf_counter()
    for recipe in (cnn_recipe, cgan_recipe):
        recipe(paths)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
