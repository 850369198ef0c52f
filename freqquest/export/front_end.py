"""The classifier's spectrogram as operations of Keras, so that a graph holds it.

The same as `freqquest.audio.spectrogram.log_mel`. The Fourier transform is two products with small
matrices and a rotation between them, in every format; one matrix would weigh 17 MB. The runtimes'
own transforms need a power of two: of other lengths, LiteRT's RFFT (2.3.0) refuses to run, and ONNX
Runtime's STFT (1.32.0) loses two digits; it also takes twice as long as these products.
Keras is imported inside the functions; no Ray.
Shapes: N clips, S samples, T frames, P * Q = n_fft samples of a frame, B = Q // 2 + 1, M mel bands.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from freqquest.audio.spectrogram import SpectrogramConfig, hann, mel_filter_bank
from freqquest.errors import UserError

if TYPE_CHECKING:
    import keras

_DECIBELS = 10 / math.log(10)
"""Decibels in a neper of power."""


def require_known_view(view: SpectrogramConfig, source: str) -> None:
    """Refuse a view that `log_mel` cannot compute.

    Raises:
        UserError: The compression or the padding is not the classifier's.
    """
    for name, known in (("compression", "decibel"), ("padding", "constant")):
        if getattr(view, name) != known:
            raise UserError(
                f"{source} has spectrograms of {name} {getattr(view, name)}, and only {known} can "
                "be exported: give the best_model.keras of a tune_cnn run"
            )


def log_mel(
    waveforms: "keras.KerasTensor", view: SpectrogramConfig, sample_rate_hz: int
) -> "keras.KerasTensor":
    """Return log-mel spectrograms `[N, M, T, 1]` of waveforms `[N, S]`, in dB."""
    from keras import ops

    num_frames = view.filled_frames(waveforms.shape[1])
    frames = _frames(waveforms, view, num_frames) * hann(view.n_fft)
    mel = ops.transpose(_mel_power(frames, view, sample_rate_hz), (0, 2, 1))
    smallest = 1e-10
    loudest = ops.maximum(ops.max(mel, axis=(1, 2), keepdims=True), smallest)  # silence is 0 dB
    decibels = ops.log(ops.maximum(mel, smallest) / loudest) * _DECIBELS
    filled = ops.maximum(decibels, -view.top_db)
    padded = ops.pad(filled, ((0, 0), (0, 0), (0, view.num_frames - num_frames)))
    return ops.expand_dims(padded, axis=-1)


def _frames(
    waveforms: "keras.KerasTensor", view: SpectrogramConfig, num_frames: int
) -> "keras.KerasTensor":
    """Return the frames `[N, T, n_fft]` of waveforms `[N, S]`, put together from blocks."""
    from keras import ops

    num_samples, half = waveforms.shape[1], view.n_fft // 2
    block = math.gcd(view.n_fft, view.hop_length)
    num_blocks = -(-(num_samples + view.n_fft) // block)
    behind = num_blocks * block - half - num_samples
    padded = ops.pad(waveforms, ((0, 0), (half, behind)))
    first = np.arange(num_frames)[:, None] * (view.hop_length // block)
    blocks = first + np.arange(view.n_fft // block)
    frames = ops.take(ops.reshape(padded, (-1, num_blocks, block)), blocks.astype(np.int32), axis=1)
    return ops.reshape(frames, (-1, num_frames, view.n_fft))


def _mel_power(
    frames: "keras.KerasTensor", view: SpectrogramConfig, sample_rate_hz: int
) -> "keras.KerasTensor":
    """Return the mel power `[N, T, M]` of windowed frames `[N, T, n_fft]`.

    With sample q + Q p and frequency a + P b, the angle of the Fourier transform,
    (q + Q p)(a + P b) / n_fft, is p a / P + q a / n_fft + q b / Q and a whole number.

    Source: Cooley and Tukey, "An algorithm for the machine calculation of complex Fourier series",
    1965.
    """
    from keras import ops

    num_frames = frames.shape[1]
    p, q = _factors(view.n_fft)
    b = q // 2 + 1  # higher frequencies mirror these
    swap = (0, 1, 3, 2)
    by_sample = ops.transpose(ops.reshape(frames, (-1, num_frames, p, q)), swap)  # [N, T, Q, P]
    cosine, sine = _waves(p, p, p)
    real, imaginary = ops.matmul(by_sample, cosine), ops.matmul(by_sample, -sine)
    cosine, sine = _waves(q, p, view.n_fft)
    rotated = real * cosine + imaginary * sine, imaginary * cosine - real * sine
    real, imaginary = (ops.transpose(part, swap) for part in rotated)  # [N, T, P, Q]
    cosine, sine = _waves(q, b, q)
    sums = (
        ops.matmul(real, cosine) + ops.matmul(imaginary, sine),
        ops.matmul(imaginary, cosine) - ops.matmul(real, sine),
    )
    power = ops.square(sums[0]) + ops.square(sums[1])
    filters = _filters(view, sample_rate_hz, p, b)
    return ops.matmul(ops.reshape(power, (-1, num_frames, p * b)), filters)


def _factors(number: int) -> tuple[int, int]:
    """Return the two factors of a number that are closest to each other, the smaller one first."""
    smaller = max(each for each in range(1, math.isqrt(number) + 1) if number % each == 0)
    return smaller, number // smaller


def _waves(num_rows: int, num_columns: int, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cosine and sine of 2 pi row * column / period, float32."""
    products = np.outer(np.arange(num_rows), np.arange(num_columns)) % period
    angles = 2 * np.pi / period * products
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _filters(view: SpectrogramConfig, sample_rate_hz: int, p: int, b: int) -> np.ndarray:
    """Return the mel filters `[P * B, M]` of frequencies in the order of `_mel_power`."""
    frequencies = (np.arange(p)[:, None] + p * np.arange(b)).flatten()
    is_kept = frequencies <= view.n_fft // 2
    filters = np.zeros((p * b, view.num_mels), np.float32)
    filters[is_kept] = mel_filter_bank(view, sample_rate_hz).T[frequencies[is_kept]]
    return filters
