"""Phase reconstruction: waveforms from the magnitudes of their spectra.

torch only, on any device. The clips of a batch do not affect each other.
Shapes: N clips, T frames, F FFT bins, S samples.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch.nn import functional

_SMALLEST_NORM = 0.1
"""Lower limit of the windows' summed squares, relative to the largest: reached only where frames
overlap by less than half. There, less would amplify errors into peaks."""


class Stft:
    """Short-time Fourier transform with a Hann window and centered frames, and its inverse."""

    def __init__(
        self,
        n_fft: int,
        hop_length: int,
        num_frames: int,
        padding: Literal["constant", "reflect"],
        device: torch.device,
    ) -> None:
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.num_frames = num_frames
        self._padding = padding
        self._hops_in_frame = -(-n_fft // hop_length)
        self._window = torch.hann_window(n_fft, device=device)
        norm = self._overlap_add(self._window.square().expand(1, num_frames, n_fft))
        self._norm = norm.clamp_(min=_SMALLEST_NORM * float(norm.max()))

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Return spectra `[N, T, F]` of waveforms `[N, S]`.

        S = hop_length * (T - 1), which must be more than half a window.
        """
        half = self.n_fft // 2
        padded = functional.pad(waveforms, (half, self.n_fft - half), mode=self._padding)
        frames = padded.unfold(-1, self.n_fft, self.hop_length)[:, : self.num_frames]
        spectra: torch.Tensor = torch.fft.rfft(frames * self._window)
        return spectra

    def backward(self, spectra: torch.Tensor) -> torch.Tensor:
        """Return the waveforms `[N, S]` whose spectra are closest, by least squares.

        Source: Griffin and Lim, "Signal estimation from modified short-time Fourier transform",
        1984, equation 6.
        """
        frames = torch.fft.irfft(spectra, n=self.n_fft).mul_(self._window)
        return self._overlap_add(frames).div_(self._norm)

    def _overlap_add(self, frames: torch.Tensor) -> torch.Tensor:
        """Add frames `[N, T, L]` at steps of a hop, from the middle of the first frame on."""
        count, hop = self._hops_in_frame, self.hop_length
        padded = functional.pad(frames, (0, count * hop - self.n_fft))
        frames = padded.view(*padded.shape[:2], count, hop)
        waveforms = frames.new_zeros(len(frames), self.num_frames - 1 + count, hop)
        for part in range(count):
            waveforms[:, part : part + self.num_frames] += frames[:, :, part]
        return waveforms.flatten(1).narrow(1, self.n_fft // 2, hop * (self.num_frames - 1))


def griffin_lim(
    magnitudes: torch.Tensor,
    phases: torch.Tensor,
    stft: Stft,
    *,
    num_iterations: int,
    momentum: float,
    correct: Callable[[torch.Tensor], torch.Tensor],
    correct_every: int,
) -> torch.Tensor:
    """Return waveforms `[N, S]` with approximately the given magnitudes.

    Each iteration takes the closest waveform, and combines its phases with the magnitudes.

    Args:
        magnitudes: `[N, T, F]`.
        phases: Initial phases `[N, T, F]`, in radians.
        stft: Transform that the magnitudes belong to.
        num_iterations: Number of iterations.
        momentum: Momentum of the iterations, 0 to 1.
        correct: Returns corrected magnitudes, given the products `[N, T, F]` of the magnitudes with
            those of the current waveform.
        correct_every: Iterations between two corrections.

    Source: Griffin and Lim, 1984; Perraudin, Balazs and Sondergaard, "A fast Griffin-Lim
    algorithm", 2013.
    """
    spectra = torch.polar(magnitudes, phases)
    previous = torch.zeros_like(spectra)
    previous_weight = momentum / (1 + momentum)
    for iteration in range(1, num_iterations + 1):
        current = stft.forward(stft.backward(spectra))
        if iteration % correct_every == 0 and iteration < num_iterations:
            magnitudes = correct(current.abs().mul_(magnitudes))
        spectra = previous.mul_(-previous_weight).add_(current)
        previous = current
        parts = torch.view_as_real(spectra)
        parts.mul_(parts.square().sum(-1).clamp_(min=1e-24).rsqrt_().mul_(magnitudes).unsqueeze(-1))
    return stft.backward(spectra)
