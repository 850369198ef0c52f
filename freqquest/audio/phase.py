"""Find a waveform whose spectrum has given magnitudes.

torch alone, on any device; nothing of one clip of a batch touches another.
Shapes: N clips, T frames, F FFT bins, S samples.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch.nn import functional

_SMALLEST_NORM = 1e-3
"""Share of the windows' summed squares below which a sample is left quiet: only where frames hardly overlap."""


class Stft:
    """Centered frames of a Hann window, their real FFT, and the way back that is best in the least-squares sense."""

    def __init__(
        self,
        n_fft: int,
        hop_length: int,
        num_frames: int,
        padding: Literal["constant", "reflect"],
        device: torch.device,
    ) -> None:
        self.n_fft, self.hop_length, self.num_frames, self._padding = (
            n_fft,
            hop_length,
            num_frames,
            padding,
        )
        self._hops_in_frame = -(-n_fft // hop_length)
        self._window = torch.hann_window(n_fft, device=device)
        norm = self._overlap_add(self._window.square().expand(1, num_frames, n_fft))
        self._norm = norm.clamp_(min=_SMALLEST_NORM * float(norm.max()))

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Spectra `[N, T, F]` of waveforms `[N, S]`; S = hop_length * (T - 1), more than half a window."""
        half = self.n_fft // 2
        padded = functional.pad(waveforms, (half, self.n_fft - half), mode=self._padding)
        return torch.fft.rfft(
            padded.unfold(-1, self.n_fft, self.hop_length)[:, : self.num_frames] * self._window
        )

    def backward(self, spectra: torch.Tensor) -> torch.Tensor:
        """The waveforms `[N, S]` whose spectra are nearest to those given.

        Source: Griffin and Lim, "Signal estimation from modified short-time Fourier transform", 1984, equation 6.
        """
        frames = torch.fft.irfft(spectra, n=self.n_fft).mul_(self._window)
        return self._overlap_add(frames).div_(self._norm)

    def _overlap_add(self, frames: torch.Tensor) -> torch.Tensor:
        """The sum of frames `[N, T, L]`, each a hop after the one before, from the middle of the first one on."""
        count, hop = self._hops_in_frame, self.hop_length
        frames = functional.pad(frames, (0, count * hop - self.n_fft)).unflatten(-1, (count, hop))
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
    """A waveform of nearly these magnitudes: in turn the nearest waveform, and its phases with the magnitudes.

    Args:
        magnitudes: `[N, T, F]`.
        phases: To start from, `[N, T, F]`, in radians.
        stft: Of these magnitudes.
        num_iterations: How often.
        momentum: How far each step is carried on, 0 to 1.
        correct: Gives better magnitudes for power `[N, T, F]` between those wanted and those that a waveform has.
        correct_every: Iterations from one correction to the next.

    Returns:
        Waveforms `[N, S]`.

    Source: Griffin and Lim, 1984; Perraudin, Balazs and Sondergaard, "A fast Griffin-Lim algorithm", 2013.
    """
    spectra = torch.polar(magnitudes, phases)
    before = torch.zeros_like(spectra)
    carried = momentum / (1 + momentum)
    for iteration in range(1, num_iterations + 1):
        now = stft.forward(stft.backward(spectra))
        if iteration % correct_every == 0 and iteration < num_iterations:
            magnitudes = correct(now.abs().mul_(magnitudes))
        spectra = before.mul_(-carried).add_(now)
        before = now
        parts = torch.view_as_real(spectra)
        parts.mul_(parts.square().sum(-1).clamp_(min=1e-24).rsqrt_().mul_(magnitudes).unsqueeze(-1))
    return stft.backward(spectra)
