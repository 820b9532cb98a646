"""python -m virst_model.data: what is there to train on."""

import argparse
import logging
from pathlib import Path
import sys

from virst_model.data.check import check, describe, is_good

BAD_INPUT = 2  # exit status


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 where all is well."""
    parser = argparse.ArgumentParser(prog="python -m virst_model.data", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_check(commands)
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


if __name__ == "__main__":
    sys.exit(main())
