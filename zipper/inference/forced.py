"""Teacher-forced attention: how the model aligns a text with speech that are both given."""

from collections.abc import Sequence

import numpy as np
import torch

from zipper.inference.reading import open_session
from zipper.model.config import MODALITIES
from zipper.model.fused import FusedModel
from zipper.model.streams import Segment
from zipper.results import Direction


@torch.inference_mode()
def forced_attention(model: FusedModel, text: Sequence[int], speech: Sequence[int], direction: Direction) -> np.ndarray:
    """Weights (zip points, heads, T_text, T_speech) between a text and its speech, ids without begin and end.

    The weights of a token are those of the position that predicts it, one before the token itself, as in
    generation.
    """
    config = model.config
    text_segment = Segment("text", (config.text.begin_id, *text, config.text.end_id))
    speech_segment = Segment("speech", (config.speech.begin_id, *speech, config.speech.end_id))
    recognition = direction == "text_from_speech"
    source, target = (speech_segment, text_segment) if recognition else (text_segment, speech_segment)
    session = open_session(model, MODALITIES)
    session.feed(source.modality, source.ids)
    maps = []
    for token in target.ids[:-2]:  # one at a time: where a token is found follows from the step before
        found = session.feed(target.modality, (token,)).attention
        assert found is not None, "the target sees the source"
        maps.append(found[:, 0, :, 1:-1])
    weights = torch.stack(maps, dim=2)  # (Z, H, target, source)
    return (weights if recognition else weights.transpose(2, 3)).float().cpu().numpy()
