"""python -m virst_model.data: says what there is to train on, and makes more."""

import argparse
import logging
from pathlib import Path
import sys

from virst_model.data.check import check, describe, is_good
from virst_model.data.record import DataError
from virst_model.data.stories.write import Shot, write_stories
from virst_model.data.synthetic import SPLITS

BAD_INPUT = 2  # exit status


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 where all is well."""
    parser = argparse.ArgumentParser(prog="python -m virst_model.data", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_check(commands)
    _add_synthetic(commands)
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    return options.run(options)


def _add_check(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "check", help="says of each data set what is found and what is missing"
    )
    parser.add_argument("root", type=Path, metavar="ROOT", help="the folder of the data sets")
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    """0 where at least one data set is there and nothing is damaged, else 1."""
    if not options.root.is_dir():
        sys.stderr.write(f"{options.root}: no such folder; ROOT is the folder of the data sets\n")
        return BAD_INPUT
    findings = check(options.root)
    sys.stdout.writelines(f"{line}\n" for line in describe(findings))
    return 0 if is_good(findings) else 1


def _add_synthetic(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "synthetic", help="writes videos of acting shapes, in the layout of MeViS"
    )
    parser.add_argument("--out", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--split", choices=SPLITS, required=True)
    parser.add_argument("--n", type=_positive, required=True, help="how many videos")
    parser.add_argument("--seed", type=_seed, default=0, help="of the first video")
    parser.add_argument("--frames", type=_positive, default=60, help="of each video")
    parser.add_argument("--fps", type=_positive, default=10, help="frames a second")
    parser.add_argument("--size", type=_size, default=(320, 240), metavar="WIDTHxHEIGHT")
    parser.set_defaults(run=_write_synthetic)


def _write_synthetic(options: argparse.Namespace) -> int:
    shot = Shot(options.frames, options.fps, *options.size)
    try:
        folder = write_stories(options.out, options.split, options.n, options.seed, shot)
    except DataError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    sys.stdout.write(f"{folder}: {options.n} videos\n")
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} must be 1 or more")
    return number


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 10**8:
        raise argparse.ArgumentTypeError(f"{number} must be 0 to 99999999")
    return number


def _size(text: str) -> tuple[int, int]:
    width, separator, height = text.partition("x")
    if not (separator and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} must be WIDTHxHEIGHT in pixels, as 320x240")
    if min(int(width), int(height)) < 16:
        raise argparse.ArgumentTypeError(f"{text} must be 16x16 or larger")
    return int(width), int(height)


if __name__ == "__main__":
    sys.exit(main())
