"""Exceptions for everything that can go wrong without a bug in this package.

Each message is one sentence that says what is wrong and, where it helps, what to do; the command line
prints it as it is and the app shows it as it is. Anything that is not a :class:`ZipperError` is a defect.
"""


class ZipperError(Exception):
    """Base of every error that this package raises on purpose."""


class AudioError(ZipperError):
    """Audio that cannot be read or used: missing, empty, truncated, not audio, not finite, too short."""


class NoSpeechError(AudioError):
    """Audio that was read well and holds nothing that sounds like speech: silence, hum, noise."""


class TextError(ZipperError):
    """Text that cannot be spoken: empty, blank, without a single letter or digit, not in the Latin script."""


class LimitError(ZipperError):
    """A request over one of the limits of :mod:`zipper.limits`: seconds, characters, bytes, tokens, time."""


class OptionError(ZipperError):
    """A value that does not exist among the choices: an unknown voice, export format, modality, head."""


class ConfigError(ZipperError):
    """A configuration, of a model or of a training stage, that is malformed or contradicts itself."""


class WeightsError(ZipperError):
    """Weights that are missing, corrupt, or do not fit their configuration or each other."""


class DataError(ZipperError):
    """A manifest or data set for training or evaluation that is missing, empty or malformed."""


class StorageError(ZipperError):
    """A result that could not be written: the disk is full, the folder is missing or not writable."""


class DependencyError(ZipperError):
    """An optional package or program that this request needs is not installed."""
