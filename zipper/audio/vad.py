"""Silero VAD (https://github.com/snakers4/silero-vad, MIT): how likely each 32 ms of a recording are speech.

The weights and the network are those of the package `silero-vad`. Its own loop hears one frame at a time and keeps its
state in the model; here the same network hears many frames at once and keeps nothing, so that threads may share it,
and 15 minutes take 2 s instead of 12.
"""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from zipper.audio.io import Samples

FRAME = 512  # samples at 16 kHz, 32 ms: what is judged at a time
CONTEXT = 64  # samples before it that are heard too
AHEAD = 64  # samples behind it, mirrored
BINS = 129  # frequencies
STRIDES = (1, 2, 2, 1)  # of the four convolutions: 4 steps of a frame become one
WIDTH = 128  # of the recurrent layer
BLOCK = 512  # frames heard at once, 16 s, which bounds the memory


class SpeechDetector(nn.Module):
    """The network of Silero VAD at 16 kHz, from its own parameters by their names."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.register_buffer("basis", weights["stft.forward_basis_buffer"])
        self.convolutions = nn.ModuleList()
        for number, stride in enumerate(STRIDES):
            weight = weights[f"encoder.{number}.reparam_conv.weight"]
            convolution = nn.Conv1d(weight.shape[1], weight.shape[0], 3, stride, padding=1)
            convolution.load_state_dict({"weight": weight, "bias": weights[f"encoder.{number}.reparam_conv.bias"]})
            self.convolutions.append(convolution)
        self.recurrent = nn.LSTM(WIDTH, WIDTH)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self.recurrent.load_state_dict({f"{name}_l0": weights[f"decoder.rnn.{name}"] for name in names})
        self.last = nn.Conv1d(WIDTH, 1, 1)
        self.last.load_state_dict({name: weights[f"decoder.decoder.2.{name}"] for name in ("weight", "bias")})

    @torch.inference_mode()
    def forward(self, samples: Tensor) -> Tensor:
        """Probabilities (ceil(n / FRAME),) of speech in samples (n,) at 16 kHz."""
        count = -(-len(samples) // FRAME)
        padded = functional.pad(samples, (CONTEXT, count * FRAME - len(samples)))
        state: tuple[Tensor, Tensor] | None = None
        found = []
        for frames in torch.split(padded.unfold(0, CONTEXT + FRAME, FRAME), BLOCK):
            heard, state = self.recurrent(self._features(frames)[:, None], state)  # one recording, frame after frame
            found.append(torch.sigmoid(self.last(functional.relu(heard).transpose(1, 2))).flatten())
        return torch.cat(found)

    def _features(self, frames: Tensor) -> Tensor:
        """Frames with what precedes them (T, CONTEXT + FRAME) -> (T, WIDTH)."""
        mirrored = functional.pad(frames[:, None], (0, AHEAD), mode="reflect")
        parts = functional.conv1d(mirrored, self.get_buffer("basis"), stride=FRAME // 4)  # (T, 2 * BINS, 4)
        x = torch.sqrt(parts[:, :BINS].square() + parts[:, BINS:].square())
        for convolution in self.convolutions:
            x = functional.relu(convolution(x))
        return x.squeeze(-1)


def speech_probabilities(samples: Samples) -> npt.NDArray[np.float32]:
    """How likely each frame of samples (n,) at 16 kHz is speech, 0..1: (ceil(n / FRAME),)."""
    return np.asarray(_detector()(torch.from_numpy(samples)).numpy())


@functools.cache
def package() -> Any:
    """The package silero_vad. Importing it sets torch to one thread, which is undone."""
    threads = torch.get_num_threads()
    import silero_vad

    torch.set_num_threads(threads)
    return silero_vad


@functools.cache
def _detector() -> SpeechDetector:
    """Loaded when it is first needed, in a tenth of a second."""
    prefix = "_model."  # the other one is for 8 kHz
    whole = package().load_silero_vad().state_dict()
    return SpeechDetector({k.removeprefix(prefix): v for k, v in whole.items() if k.startswith(prefix)}).eval()
