"""The work folder of a study: data linked from one that is only read, and the two pre-trained towers."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from zipper.errors import ConfigError, DataError, WeightsError
from zipper.model.checkpoint import CONFIG_FILE, load_zipper, read_json, save_tower
from zipper.studies.study import Sizes
from zipper.training.config import CONFIGS, FusionConfig, PretrainConfig, load_config
from zipper.training.stages import pretrain_speech
from zipper.weights import MODEL_FOLDER, SPEECH_TOKENIZER_FOLDER

log = logging.getLogger(__name__)

LINKED = ("tokens", "labels", "text")
TEXT_TOWER, SPEECH_TOWER = "pretrain-text", "pretrain-speech"
NEVER = ("speech-commands",)  # single words without a sentence are no transcribed speech


def sources_of(work: Path, asr: Sequence[str], tts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sources of recognition and of synthesis: those that are named, else all with tokens, and those of zip.yaml.

    Raises DataError where one is missing.
    """
    found = [path.name for path in sorted((work / "tokens").glob("*")) if (work / "labels" / path.name).is_dir()]
    if not found:
        raise DataError("WORK holds no tokens with labels: run the stages features, labels and tokens first.")
    usual = load_config(FusionConfig, CONFIGS / "zip.yaml").tts
    heard = tuple(asr) or tuple(name for name in found if not name.startswith(NEVER))
    spoken = tuple(tts) or tuple(name for name in usual if name in found) or tuple(found if len(found) == 1 else ())
    if not spoken:
        raise DataError(f"WORK has none of {', '.join(usual)}: name the sources of synthesis with --tts.")
    for name in (*heard, *spoken):
        if name not in found:
            raise DataError(f"WORK has no source {name} with tokens and labels.")
    return heard, spoken


def prepare(work: Path, place: Path, parts: Path, sources: Sequence[str], sizes: Sizes) -> Path:
    """Make `place` a work folder that trains on the data of `work`, which is only read; returns `place`.

    parts: a model folder. Its text tower, which fusion leaves as it was, serves where `work` has no pretrain-text; a
    speech tower that `work` does not have is pre-trained on the speech alone, as that of `parts` has seen transcripts.
    """
    place.mkdir(parents=True, exist_ok=True)
    for name in LINKED:
        if not (work / name).is_dir():
            raise DataError(f"WORK has no folder {name}: run the stages that come before fusion first.")
        _link(work / name, place / name)
    _link(parts / SPEECH_TOKENIZER_FOLDER, place / SPEECH_TOKENIZER_FOLDER)
    for name in (TEXT_TOWER, SPEECH_TOWER):
        if (work / name / CONFIG_FILE).is_file():
            _link(work / name, place / name)
    if not (place / TEXT_TOWER / CONFIG_FILE).is_file():
        save_tower(load_zipper(parts / MODEL_FOLDER).text, place / TEXT_TOWER)
    if not (place / SPEECH_TOWER / CONFIG_FILE).is_file():
        log.info("pre-training the speech tower, %g s", sizes.tower_seconds)
        settings = (f"sources={json.dumps(list(sources))}", f"loop.seconds={sizes.tower_seconds:g}")
        config = load_config(PretrainConfig, CONFIGS / "pretrain-speech.yaml", settings)
        pretrain_speech(config, place, resume=True)
    return place


def code_levels(parts: Path) -> str:
    """The setting that says which codes the speech tokenizer has, which a single decoder and the jitter must know."""
    found = read_json(parts / SPEECH_TOKENIZER_FOLDER / CONFIG_FILE)
    try:
        return f"loss.levels={json.dumps(found['quantizer']['levels'])}"
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{CONFIG_FILE} of the speech tokenizer names no levels.") from error


def _link(target: Path, link: Path) -> None:
    if link.is_symlink() and link.resolve() != target.resolve():
        raise ConfigError(f"{link.parent.parent.name} belongs to another work folder: name another --out.")
    if not link.exists():
        link.symlink_to(target.resolve(), target_is_directory=True)
