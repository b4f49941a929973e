"""A tiny model with fixed weights gives the logits it gave when it was first stored.

Any silent change of the numbers fails here. After a deliberate one, run this file as a script to store
the new logits, and say why in the commit.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from zipper.model.checkpoint import load
from zipper.model.streams import Segment, pack
from zipper.model.zipper import ZipperModel

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = GOLDEN / "expected.safetensors"
SEQUENCES = (
    (Segment("speech", (18, 3, 14, 15, 9, 2, 6, 19)), Segment("text", (0, 5, 3, 5, 8, 1))),
    (Segment("text", (0, 9, 7, 9, 1)), Segment("speech", (18, 2, 7, 1, 8, 2, 8, 1, 8, 19))),
)


@torch.no_grad()
def outputs(model: ZipperModel) -> dict[str, torch.Tensor]:
    """Logits of both towers fused and alone, and attention of the first zip point."""
    text, speech = pack(SEQUENCES)
    assert text is not None and speech is not None
    fused = model(text, speech, capture=True)
    found = {
        "fused.text": fused.text_logits,
        "fused.speech": fused.speech_logits,
        "text_from_speech": fused.attention[0].text_from_speech,
        "speech_from_text": fused.attention[0].speech_from_text,
        "text": model.text(text.ids),
        "speech": model.speech(speech.ids),
    }
    return {name: tensor.contiguous() for name, tensor in found.items()}


def test_the_golden_model_gives_its_golden_outputs() -> None:
    expected, found = load_file(EXPECTED), outputs(load(GOLDEN))
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


if __name__ == "__main__":
    save_file(outputs(load(GOLDEN)), EXPECTED)
