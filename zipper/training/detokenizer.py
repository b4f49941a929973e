"""Stage `detokenizer`: train the network from speech tokens and a voice to mel, and pack it with the vocoder.

python -m zipper train detokenizer prepare --work WORK --data DATA
python -m zipper train detokenizer train --work WORK --vocoder FOLDER

Reads tokens/SOURCE and speech_tokenizer/ of the work folder; writes mels/, pitch/, runs/detokenizer/ and
detokenizer/.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from zipper.configuration import from_plain
from zipper.data.clips import Batch, Clips, Voice, each_speaker, prepare
from zipper.errors import ConfigError, WeightsError
from zipper.speech.acoustic import NOISE_LEVEL, RESIDUAL_SCALE, AcousticConfig, AcousticModel, Coarse, padding_mask
from zipper.speech.detokenizer import Detokenizer
from zipper.speech.hifigan import HifiGan, HifiGanConfig
from zipper.speech.tokenizer import SpeechTokenizer
from zipper.training.config import CONFIGS, add_config_options, add_training_options, load_config, load_stage_config
from zipper.training.loop import Trainer
from zipper.training.schedule import LoopConfig

log = logging.getLogger(__name__)

STATISTICS_CLIPS = 200  # clips of each voice that mean and deviation of mel and pitch are taken from
HELD_OUT_CLIPS = 12  # clips of each voice in the evaluation
WEIGHTS = {"coarse": 1.0, "flow": 0.5, "pitch": 0.2, "voicing": 0.2}  # of the losses


@dataclass(frozen=True)
class DetokenizerTraining:
    """Stage `detokenizer`; `voices` maps a voice's name to the other fields of mels.Voice."""

    loop: LoopConfig
    voices: dict[str, dict[str, Any]]
    network: dict[str, Any] = field(default_factory=dict)  # sizes other than the defaults of AcousticConfig
    batch_frames: int = 2048
    replaced_codes: float = 0.03  # share of codes replaced by others: generated tokens have slips
    start: str = ""  # folder of a detokenizer to go on from; its voices keep theirs, new ones start at their mean
    teacher: str = ""  # folder of a detokenizer whose flow is learned in the (fewer) flow_steps of `network`

    def chosen(self) -> tuple[Voice, ...]:
        """The voices, in the order in which the product lists them."""
        return tuple(from_plain(Voice, {"name": name, **rest}, name) for name, rest in self.voices.items())


class DetokenizerStage(nn.Module):
    """The network with its losses."""

    def __init__(self, model: AcousticModel, replaced_codes: float, teacher: AcousticModel | None = None) -> None:
        super().__init__()
        self.model, self.replaced_codes = model, replaced_codes
        self.teacher = teacher.eval().requires_grad_(False) if teacher is not None else None

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted sum, and each loss by name."""
        parts = losses(self.model, batch._replace(codes=self._with_slips(batch.codes)), self.teacher)
        total = torch.stack([WEIGHTS[name] * part for name, part in parts.items()]).sum()
        return {"loss": total, **parts, "tokens": batch.code_lengths.sum()}

    def _with_slips(self, codes: Tensor) -> Tensor:
        """Replace some codes by codes from elsewhere in the batch."""
        elsewhere = codes.flatten()[torch.randperm(codes.numel(), device=codes.device)].view_as(codes)
        return torch.where(torch.rand(codes.shape, device=codes.device) < self.replaced_codes, elsewhere, codes)


def losses(model: AcousticModel, batch: Batch, teacher: AcousticModel | None = None) -> dict[str, Tensor]:
    """Losses of a batch by name; times and noise of the flow come from torch's generator.

    The flow learns the way from noise to the true mel or, where there is a teacher, to what the teacher makes of the
    same noise: that way is nearly straight, and a step or two follow it (Liu et al., "Flow Straight and Fast", 2022).
    """
    mask = padding_mask(batch.lengths, batch.mel.shape[1])  # (B, T, 1)
    target = model.standardize(batch.mel)
    coarse = coarse_mel(model, batch, mask)
    if teacher is None:
        start, time = torch.randn_like(target), torch.rand(len(target), device=mask.device)
        result = target
    else:
        start = NOISE_LEVEL * torch.randn_like(target)
        # The times at which the few steps ask for a velocity, and no others
        time = torch.randint(model.config.flow_steps, (len(target),), device=mask.device) / model.config.flow_steps
        with torch.no_grad():
            result = teacher.refine(coarse_mel(teacher, batch, mask), start, mask).float()
    end = (result - coarse.mel.detach()) / RESIDUAL_SCALE
    x = torch.lerp(start, end, time[:, None, None])
    velocity = model.flow(x, time, model.condition(coarse), mask)

    voiced = (batch.hz > 0).float()
    height = model.standardize_pitch(batch.hz, batch.voice)
    voicing = F.binary_cross_entropy_with_logits(coarse.voicing, voiced, reduction="none")
    known, count = mask[..., 0], mask.sum()
    return {
        "coarse": ((coarse.mel - target).abs().mean(-1) * known).sum() / count,
        "flow": ((velocity.float() - (end - start)).square().mean(-1) * known).sum() / count,
        "pitch": ((coarse.pitch - height).abs() * voiced).sum() / voiced.sum().clamp(min=1),
        "voicing": (voicing * known).sum() / count,
    }


def coarse_mel(model: AcousticModel, batch: Batch, mask: Tensor) -> Coarse:
    """What the network makes of the codes and the true pitch of a batch; mask (B, T, 1)."""
    frames = torch.arange(batch.mel.shape[1], device=mask.device)
    h = model.encode(batch.codes, batch.voice, batch.code_lengths)
    return model.coarse(model.spread(h, frames, lengths=batch.code_lengths), batch.voice, batch.hz, mask)


VOICE_TABLES = ("token_voice.weight", "frame_voice.weight", "pitch_mean", "pitch_deviation")  # a row for each voice


def start_from(model: AcousticModel, trained: AcousticModel) -> None:
    """Copy a trained network of the same sizes; voices that it lacks sound like the mean of its voices.

    Their pitch, and the scale of the mels, stay as measured, and as trained. Contexts may differ: a tap of a kernel
    keeps its distance in time, taps that are gone are lost, new ones start at 0.
    """
    old, new = trained.state_dict(), model.state_dict()
    before = trained.config.voices
    rows = [(index, before.index(name)) for index, name in enumerate(model.config.voices) if name in before]
    for name, weight in old.items():
        if name.endswith("depthwise.weight"):
            weight = moved_taps(weight, *contexts(name, trained, model))
        if name not in VOICE_TABLES:
            new[name].copy_(weight)
            continue
        if name.endswith("weight"):
            new[name].copy_(weight.mean(0).expand_as(new[name]))
        for index, known in rows:
            new[name][index].copy_(weight[known])


def contexts(name: str, old: AcousticModel, new: AcousticModel) -> tuple[tuple[int, int], tuple[int, int]]:
    """Context, (steps before, steps after), of the block that a kernel belongs to, in two networks."""
    block = name.removesuffix(".depthwise.weight")
    return old.get_submodule(block).context, new.get_submodule(block).context  # type: ignore[return-value]


def moved_taps(kernel: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """A kernel (C, 1, 1, taps) of one context as one of another, each tap at the same distance in time."""
    back, ahead = new[0] - old[0], new[1] - old[1]
    return F.pad(kernel, (back, ahead))  # a negative width takes taps away


def shipped_only(model: AcousticModel, voices: Sequence[Voice]) -> AcousticModel:
    """The network with the voices of the product alone."""
    kept = [index for index, voice in enumerate(voices) if voice.shipped]
    small = AcousticModel(replace(model.config, voices=tuple(voices[index].name for index in kept)))
    state = model.state_dict()
    small.load_state_dict({name: w[kept] if name in VOICE_TABLES else w for name, w in state.items()})
    return small


def set_statistics(model: AcousticModel, clips: Clips) -> None:
    """Mean and deviation of each mel band, and of each voice's log pitch, from some clips of each voice."""
    mels = []
    for index, voice in enumerate(clips.train):
        some = voice[:STATISTICS_CLIPS]
        mels += [clips.mels[index][clip.id].astype(np.float32) for clip in some]
        hz = np.concatenate([clips.pitches[index][clip.id].astype(np.float32) for clip in some])
        height = np.log(hz[hz > 0])
        model.get_buffer("pitch_mean")[index] = float(np.median(height))
        model.get_buffer("pitch_deviation")[index] = float(height.std())
    frames = np.concatenate(mels)
    model.get_buffer("mel_mean").copy_(torch.from_numpy(frames.mean(0)))
    model.get_buffer("mel_deviation").copy_(torch.from_numpy(frames.std(0)))


@torch.inference_mode()
def held_out_losses(model: AcousticModel, clips: Clips, seed: int) -> dict[str, dict[str, float]]:
    """Losses on held-out clips of each voice that has some, always with the same noise."""
    figures = {}
    for name, some in zip(model.config.voices, clips.held_out, strict=True):
        if some:
            torch.manual_seed(seed)
            parts = losses(model, clips.collate(some[:HELD_OUT_CLIPS]))
            figures[name] = {loss: round(float(part), 4) for loss, part in parts.items()}
    return figures


def new_model(config: DetokenizerTraining, voices: Sequence[Voice], grid: Tensor) -> AcousticModel:
    """A network for these voices and codes, initialized from the seed; grid (codes, dimensions) in -1..1."""
    torch.manual_seed(config.loop.seed)
    sizes = {name: tuple(size) if isinstance(size, list) else size for name, size in config.network.items()}
    shape = {"codes": len(grid), "code_dims": grid.shape[1], "voices": tuple(v.name for v in voices)}
    model = AcousticModel(from_plain(AcousticConfig, {**shape, **sizes}, "network"))
    model.codes.get_buffer("grid").copy_(grid)
    return model


def read_teacher(folder: str, voices: Sequence[Voice], grid: Tensor) -> AcousticModel:
    """The network in FOLDER for the voices of this training; it must read the same codes."""
    trained = Detokenizer.from_pretrained(folder).acoustic
    if trained.codes.get_buffer("grid").shape != grid.shape:
        raise ConfigError(f"The teacher in {folder} reads other codes; choose one of the same speech tokenizer.")
    teacher = AcousticModel(replace(trained.config, voices=tuple(voice.name for voice in voices)))
    start_from(teacher, trained)
    return teacher


def code_grid(folder: Path) -> Tensor:
    """Grid points (codes, dimensions) of the speech tokenizer in FOLDER."""
    quantizer = SpeechTokenizer.from_pretrained(folder).quantizer
    return quantizer.fsq.latents(torch.arange(quantizer.config.codes))


def read_vocoder(folder: Path) -> HifiGan:
    """The published generator, V1, from FOLDER/generator.safetensors."""
    vocoder = HifiGan(HifiGanConfig())
    try:
        vocoder.load_state_dict(load_file(folder / "generator.safetensors"))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{folder} holds no HiFi-GAN V1 generator.safetensors.") from error
    return vocoder


def train(config: DetokenizerTraining, work: Path, grid: Tensor, vocoder: HifiGan, resume: bool) -> None:
    """The `train` command; writes the figures of the held-out clips beside the run."""
    voices = each_speaker(config.chosen(), work)
    clips = Clips(voices, work, config.batch_frames, config.loop.seed)
    model = new_model(config, voices, grid)
    set_statistics(model, clips)
    if config.start:
        start_from(model, Detokenizer.from_pretrained(config.start).acoustic)
    teacher = read_teacher(config.teacher, voices, grid) if config.teacher else None
    log.info("%.2f M parameters", sum(weight.numel() for weight in model.parameters()) / 1e6)
    run = work / "runs" / "detokenizer"
    trainer = Trainer(DetokenizerStage(model, config.replaced_codes, teacher), clips, config.loop, run)
    trainer.run(resume)
    if trainer.processes.is_main:
        figures = held_out_losses(model.eval(), clips, config.loop.seed)
        (run / "validation.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        Detokenizer(shipped_only(model, voices), vocoder).save(work / "detokenizer")


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of this stage."""
    parser = argparse.ArgumentParser(prog="zipper train detokenizer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    prepare_, train_ = (commands.add_parser(name) for name in ("prepare", "train"))
    for command in (prepare_, train_):
        command.add_argument("--work", type=Path, required=True, help="folder of prepared data, runs and results")
    add_config_options(prepare_, CONFIGS / "detokenizer.yaml")
    prepare_.add_argument("--data", type=Path, required=True, help="folder of the sources")
    prepare_.add_argument("--workers", type=int, default=2)
    add_training_options(train_, CONFIGS / "detokenizer.yaml")
    train_.add_argument("--vocoder", type=Path, required=True, help="HiFi-GAN V1's folder")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if arguments.command == "prepare":
        config = load_config(DetokenizerTraining, arguments.config, arguments.set)
        prepare(each_speaker(config.chosen(), arguments.work), arguments.data, arguments.work, arguments.workers)
    else:
        config = load_stage_config(DetokenizerTraining, arguments)
        grid, vocoder = code_grid(arguments.work / "speech_tokenizer"), read_vocoder(arguments.vocoder)
        train(config, arguments.work, grid, vocoder, arguments.resume)
