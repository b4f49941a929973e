"""Teacher-forced attention: how the model aligns a text with speech that are both given."""

from collections.abc import Sequence

import numpy as np
import torch

from zipper.align.heads import Direction
from zipper.model.zipper import Segment, ZipperModel, pack


@torch.inference_mode()
def forced_attention(
    model: ZipperModel, text: Sequence[int], speech: Sequence[int], direction: Direction
) -> np.ndarray:
    """Weights (zip points, heads, T_text, T_speech) between a text and its speech, ids without begin and end.

    The weights of a token are those of the position that predicts it, one before the token itself, as in
    generation.
    """
    config = model.config
    written = Segment("text", (config.text.begin_id, *text, config.text.end_id))
    spoken = Segment("speech", (config.speech.begin_id, *speech, config.speech.end_id))
    recognition = direction == "text_from_speech"
    streams = pack([[spoken, written] if recognition else [written, spoken]])
    output = model(*streams, capture=True, targets=("text" if recognition else "speech",))
    n, m = len(text), len(speech)
    maps = []
    for zip_point in output.attention:
        if recognition:
            maps.append(zip_point.text_from_speech[0, :, :n, 1 : m + 1])
        else:
            maps.append(zip_point.speech_from_text[0, :, :m, 1 : n + 1].transpose(1, 2))
    return torch.stack(maps).float().cpu().numpy()
