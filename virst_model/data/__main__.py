"""virst data: says what there is to train on, and makes more.

    virst data check DATA
    virst data synthetic --out DATA/synthetic --split train --n 1000
    virst data photographs UNPACKED --out DATA/photographs

The first says what is found and what is missing, the second writes videos in the layout of MeViS,
the third collects photographs for synthetic videos that look as if a camera had filmed them.
"""

import argparse
from collections.abc import Sequence
import logging
from pathlib import Path
import sys

from virst_model.arguments import Parser, whole, width_by_height
from virst_model.data.catalogue import root_above
from virst_model.data.check import check, describe, is_good
from virst_model.data.photographs import collect
from virst_model.data.write_stories import Shot, write_stories
from virst_model.errors import FileError, UsageError, program
from virst_model.synthetic.splits import SPLITS
from virst_model.synthetic.trajectory import TICK_S

CHECK = """Says of each split of each data set what is found and what is missing.

    virst data check DATA
"""
SYNTHETIC = """Videos of acting shapes, with sentences, masks and questions (docs/datasets.md).

    virst data synthetic --out DATA/synthetic --split train --n 1000

A run that was stopped goes on where it was.
"""
PHOTOGRAPHS = """Photographs and cut-outs of photographs, for training on the camera's world.

    apt-get download plasma-workspace-wallpapers mate-backgrounds tuxpaint-stamps-default
    for package in *.deb; do dpkg -x $package UNPACKED; done
    virst data photographs UNPACKED --out DATA/photographs
"""
MOST_STORY = 10**8 - 1  # a video's name is its seed in eight digits


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 0 where all is well, 1 where nothing is found or something is damaged, 2 where
    an option or a folder cannot be used, said in one line."""
    parser = Parser(prog="virst data", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_check(commands)
    _add_synthetic(commands)
    _add_photographs(commands)
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    return options.run(options)


def _add_check(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "check", help="says of each data set what is found and what is missing", description=CHECK
    )
    parser.add_argument("root", type=Path, metavar="ROOT", help="the folder of the data sets")
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    """0 where at least one data set is there and nothing is damaged, else 1."""
    if not options.root.is_dir():
        raise FileError(options.root, "no such folder; ROOT is the folder of the data sets")
    findings = check(options.root)
    sys.stdout.writelines(f"{line}\n" for line in describe(findings))
    above = None if any(finding.folder for finding in findings) else root_above(options.root)
    if above:
        sys.stdout.write(f"{options.root} is inside a data set: virst data check {above}\n")
    return 0 if is_good(findings) else 1


def _add_synthetic(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "synthetic",
        help="writes videos of acting shapes, in the layout of MeViS",
        description=SYNTHETIC,
    )
    parser.add_argument("--out", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--split", choices=SPLITS, required=True, help="which sentences")
    parser.add_argument("--n", type=whole(1), required=True, help="how many videos")
    parser.add_argument("--seed", type=whole(0, MOST_STORY), default=0, help="of the first video")
    parser.add_argument("--frames", type=whole(1), default=60, help="of each video")
    parser.add_argument("--fps", type=whole(1), default=10, help="frames a second")
    size = width_by_height(16)
    parser.add_argument(
        "--size", type=size, default="320x240", metavar="WIDTHxHEIGHT", help="of each picture"
    )
    parser.set_defaults(run=_write_synthetic)


def _add_photographs(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "photographs",
        help="collects photographs and cut-outs for the camera's world",
        description=PHOTOGRAPHS,
    )
    parser.add_argument("unpacked", type=Path, metavar="UNPACKED", help="packages of pictures")
    parser.add_argument("--out", type=Path, required=True, help="what to write into")
    parser.set_defaults(run=_collect_photographs)


def _collect_photographs(options: argparse.Namespace) -> int:
    pictures, cutouts = collect(options.unpacked, options.out)
    sys.stdout.write(f"{options.out}: {pictures} photographs, {cutouts} cut-outs\n")
    return 0


def _write_synthetic(options: argparse.Namespace) -> int:
    if options.frames < TICK_S * options.fps:
        shortest = f"{options.frames} at {options.fps} a second are under {TICK_S} s"
        raise UsageError(f"--frames: {shortest}")
    shot = Shot(options.frames, options.fps, *options.size)
    folder = write_stories(options.out, options.split, options.n, options.seed, shot)
    sys.stdout.write(f"{folder}: {options.n} videos\n")
    return 0
