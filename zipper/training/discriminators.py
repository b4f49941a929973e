"""Small discriminators that look at the complex spectrum of a sound at several resolutions (Défossez et al. 2022).

Their judgement teaches a vocoder what a distance of spectra does not: that sounds are sharp, and phases consistent.
Shapes: B clips, N samples, C channels, T frames, F frequencies.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from zipper.training.spectral_losses import size, spectrum

RESOLUTIONS = ((256, 64), (512, 128), (1024, 256))  # samples of a window, and between two windows
SLOPE = 0.1  # of the leaky rectifiers


class SpectrumDiscriminator(nn.Module):
    """One resolution: convolutions over frames and frequencies, of which there are half as many after each."""

    def __init__(self, n_fft: int, hop: int, channels: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

        def layer(before: int, after: int, kernel: tuple[int, int], stride: int) -> nn.Module:
            padding = (kernel[0] // 2, kernel[1] // 2)
            convolution: nn.Module = weight_norm(nn.Conv2d(before, after, kernel, (1, stride), padding))
            return convolution

        self.layers = nn.ModuleList(
            [
                layer(3, channels, (3, 9), 2),
                layer(channels, channels, (3, 9), 2),
                layer(channels, 2 * channels, (3, 9), 2),
                layer(2 * channels, 2 * channels, (3, 9), 2),
                layer(2 * channels, 2 * channels, (3, 3), 1),
            ]
        )
        self.last = layer(2 * channels, 1, (3, 3), 1)

    def forward(self, samples: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, N) -> scores (B, 1, T, F'), high for real sounds, and the features of each layer."""
        with torch.autocast(samples.device.type, enabled=False):
            spectra = spectrum(samples.float(), self.n_fft, self.hop, self.get_buffer("window"))
            sizes = size(spectra)
            drawn = spectra / sizes.sqrt()
            x = torch.stack([drawn.real, drawn.imag, 0.2 * sizes.log()], 1).transpose(2, 3)  # (B, 3, T, F)
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        return self.last(x), features


class Discriminators(nn.Module):
    """All resolutions, and the losses of both sides (least squares, Mao et al. 2017; features, Kumar et al. 2019)."""

    def __init__(self, channels: int, resolutions: Sequence[tuple[int, int]] = RESOLUTIONS) -> None:
        super().__init__()
        self.parts = nn.ModuleList(SpectrumDiscriminator(n_fft, hop, channels) for n_fft, hop in resolutions)

    def forward(self, spoken: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Losses by name of samples (B, N) that a vocoder spoke and of real ones of the same mels.

        adversarial and features teach the vocoder alone, discriminator the discriminators alone: the gradient of each
        is kept from the other side, so that their sum can be minimized at once.
        """
        adversarial, features, judged = [], [], []
        for part in self.parts:
            scores, found = part(torch.cat([real, spoken.detach()]))
            real_scores, spoken_scores = scores.float().chunk(2)
            judged.append((real_scores - 1).square().mean() + spoken_scores.square().mean())
            with frozen(part):
                scores, layers = part(spoken)
            adversarial.append((scores.float() - 1).square().mean())
            wanted = [layer.detach()[: len(real)].float() for layer in found]
            distances = [F.l1_loss(x.float(), y) / y.abs().mean() for x, y in zip(layers, wanted, strict=True)]
            features.append(torch.stack(distances).mean())
        names = {"adversarial": adversarial, "features": features, "discriminator": judged}
        return {name: torch.stack(values).mean() for name, values in names.items()}


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Gradients go through the module and not into it."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
