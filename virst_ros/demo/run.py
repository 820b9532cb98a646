"""Camera, node and a page to look at, until Ctrl-C: all of it in one command.

python -m virst_ros.demo.run --query "the red circle"
python -m virst_ros.demo.run --video 0 --query "the cup" --host 0.0.0.0
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
import re
import sys
import time

from virst_model.errors import InputError
from virst_model.synthetic.scenes import DEMO_QUERIES
from virst_ros.demo.director import start_nodes
from virst_ros.demo.film import add_film_options, check_film, film_of
from virst_ros.demo.processes import DemoError, Interrupts, Processes, set_environment
from virst_ros.ros_context import ContextError, own_arguments
from virst_viewer.address import add_address_options, words_of

CHECK_EVERY_S = 0.2
_ADDRESS = re.compile(r"^http://\S+$", re.MULTILINE)


def main(args: list[str] | None = None) -> int:
    """The exit status: 0 after Ctrl-C, 1 where a program has ended, 2 for wrong input."""
    try:
        options = _parse(own_arguments(args, "virst-run"))
    except ContextError as error:
        sys.stderr.write(f"run: {error}\n")
        return 2
    try:
        set_environment(options.out)
        options.out.mkdir(parents=True, exist_ok=True)
        with Interrupts() as interrupts:
            _run(options, interrupts)
    except (DemoError, InputError, OSError) as error:
        sys.stderr.write(f"run: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="virst-run", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--query", default="", help="what to look for at first; default: something in the scene"
    )
    add_film_options(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("out/run"), help="for logs; default: %(default)s"
    )
    add_address_options(parser)
    parsed = parser.parse_args(arguments)
    check_film(parser, parsed)
    return parsed


def _run(options: argparse.Namespace, interrupts: Interrupts) -> None:
    """Until Ctrl-C, which raises KeyboardInterrupt. DemoError where a program has ended."""
    source, camera = film_of(options)
    query = options.query or ("" if options.video else DEMO_QUERIES[0])
    segment = {"query": query} | ({"model": options.model} if options.model else {})
    processes = Processes(options.out, interrupts)
    try:
        start_nodes(processes, segment, camera)
        processes.start("virst-viewer", options=words_of(options))
        said = False
        while True:
            processes.check()
            address = None if said else _ADDRESS.search(processes.said("virst-viewer"))
            if address:
                said = True
                domain = os.environ["ROS_DOMAIN_ID"]
                sys.stdout.write(f"{address[0]}\n{source}, ROS_DOMAIN_ID={domain}; Ctrl-C ends\n")
                sys.stdout.flush()
            time.sleep(CHECK_EVERY_S)
    finally:
        processes.stop()


if __name__ == "__main__":
    sys.exit(main())
