"""The programs' arguments: a parser that raises, and types of numbers for its `type=`."""

from argparse import (
    Action,
    ArgumentDefaultsHelpFormatter,
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Callable, Iterable
import math
import re
from typing import Any, NoReturn

from virst_model.errors import UsageError

# PyTorch starts as many threads as it is told to, or dies of it.
MOST_THREADS = 1024
MOST_SEED = 2**31 - 1


class _Help(ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter):
    """Docstrings as they stand, and the default of every option that has one."""

    def _get_help_string(self, action: Action) -> str:
        text = action.help or ""
        if "default" in text or any(action.default is none for none in (None, False, "", ())):
            return text
        return super()._get_help_string(action) or ""


class Parser(ArgumentParser):
    """Raises UsageError instead of writing how it is used and ending the process itself.

    Its help shows examples of the description as they are written, and options' defaults.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**({"formatter_class": _Help} | settings))

    def error(self, message: str) -> NoReturn:
        """Raises UsageError; argparse calls it for an argument that it cannot take."""
        raise UsageError(f"{message} (--help lists what there is)")

    def changed(self, options: Namespace, names: Iterable[str]) -> list[str]:
        """Of the options `names` those that are not as by default, as a person writes them."""
        changed = [name for name in names if getattr(options, name) != self.get_default(name)]
        return [f"--{name.replace('_', '-')}" for name in changed]


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of an argument: a whole number of at least `least` and at most `most`, if any."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is not a whole number") from None
        if number < least or (most is not None and number > most):
            wanted = f"at least {least}" if most is None else f"{least} to {most}"
            raise ArgumentTypeError(f"{number} must be {wanted}")
        return number

    return read


def above_0(text: str) -> float:
    """The type of an argument: a finite number above 0. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number") from None
    if not (number > 0 and math.isfinite(number)):
        raise ArgumentTypeError(f"{text} must be a number above 0")
    return number


def width_by_height(least: int) -> Callable[[str], tuple[int, int]]:
    """The type of an argument WIDTHxHEIGHT: (width, height) in pixels, each at least `least`."""

    def read(text: str) -> tuple[int, int]:
        match = re.fullmatch(r"([0-9]+)x([0-9]+)", text)
        if match is None:
            raise ArgumentTypeError(f"{text!r} must be WIDTHxHEIGHT in pixels, as 320x240")
        if min(int(match[1]), int(match[2])) < least:
            raise ArgumentTypeError(f"{text} must be {least}x{least} or larger")
        return int(match[1]), int(match[2])

    return read


def sentence(text: str) -> str:
    """The type of an argument in words. Raises ArgumentTypeError where it holds bytes that are
    none: no tokenizer takes them."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        what = f"character {error.start + 1} of {text[:40]!r}"
        raise ArgumentTypeError(f"{what} is a byte that is not UTF-8") from None
    return text


THREADS = whole(1, MOST_THREADS)
SEED = whole(0, MOST_SEED)
