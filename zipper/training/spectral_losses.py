"""How far a vocoder's sound is from its teacher's: samples, spectra of several resolutions, and mels.

The teacher's sound is a function of the mel, so that samples and phases are compared as they are, not only magnitudes.
Shapes: B clips, N samples, F frequencies, T frames of a resolution.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zipper.audio.mel import MelSpectrogram

RESOLUTIONS = ((256, 64), (512, 128), (1024, 256), (2048, 512))  # samples of a window, and between two windows
QUIET = 1e-4  # magnitude under which differences do not count; a full-scale sine has a quarter of the window


def spectrum(samples: Tensor, n_fft: int, hop: int, window: Tensor) -> Tensor:
    """(B, N) float32 -> complex spectra (B, F, T)."""
    return torch.stft(samples, n_fft, hop, window=window, return_complex=True)


def size(spectra: Tensor) -> Tensor:
    """Magnitudes that have a gradient at 0."""
    return (spectra.real.square() + spectra.imag.square() + QUIET**2).sqrt()


class SpectralLoss(nn.Module):
    """Callable (spoken, wanted), samples (B, N) each, N above 1024 -> the losses by name, scalars.

    wave: mean difference of the samples; convergence and log_magnitude (Yamamoto et al. 2020, arXiv 1910.11480) and
    phase: the difference of the complex spectra, whose magnitudes are drawn together by their square root so that quiet
    sounds count; means over the resolutions. mel: of the log-mels that the vocoder reads.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mel = MelSpectrogram()
        for n_fft, _ in RESOLUTIONS:
            self.register_buffer(f"window_{n_fft}", torch.hann_window(n_fft), persistent=False)

    def forward(self, spoken: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        """See the class; computed in float32 whatever autocast says."""
        with torch.autocast(spoken.device.type, enabled=False):
            spoken, wanted = spoken.float(), wanted.float()
            parts = [self._at(n_fft, hop, spoken, wanted) for n_fft, hop in RESOLUTIONS]
            means = torch.stack(parts).mean(0)
            return {
                "wave": F.l1_loss(spoken, wanted),
                "convergence": means[0],
                "log_magnitude": means[1],
                "phase": means[2],
                "mel": F.l1_loss(self.mel(spoken), self.mel(wanted)),
            }

    def _at(self, n_fft: int, hop: int, spoken: Tensor, wanted: Tensor) -> Tensor:
        """Convergence, log-magnitude and phase (3,) at one resolution."""
        window = self.get_buffer(f"window_{n_fft}")
        x, y = spectrum(spoken, n_fft, hop, window), spectrum(wanted, n_fft, hop, window)
        x_size, y_size = size(x), size(y)
        convergence = (x_size - y_size).norm() / y_size.norm()
        log_magnitude = F.l1_loss(x_size.log(), y_size.log())
        x_drawn, y_drawn = x / x_size.sqrt(), y / y_size.sqrt()
        difference = torch.view_as_real(x_drawn) - torch.view_as_real(y_drawn)
        phase = difference.abs().sum() / y_size.sqrt().sum()
        return torch.stack([convergence, log_magnitude, phase])
