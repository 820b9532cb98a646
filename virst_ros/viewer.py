"""`virst-viewer`: a page that shows what the node sees, in a browser.

    virst-viewer
    virst-viewer --port 8080 --ros-args -r __ns:=/front
    virst-viewer --host 0.0.0.0 --name robot.local

The page's address is written once it can be opened. Without --host only this machine reaches it;
with it whoever has the token that stands in the address. Ctrl-C ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
import sys

import rclpy

from virst_model.arguments import Parser
from virst_model.errors import program
from virst_ros.node_source import NodeSource
from virst_ros.ros_context import open_context, own_arguments
from virst_viewer.address import add_address_options, address_of, announce
from virst_viewer.server import serve


@program
def main(args: Sequence[str] | None = None) -> int:
    """The program: 0 after Ctrl-C; 2 where an option or ROS cannot be used, in one line."""
    parser = Parser(prog="virst-viewer", description=__doc__)
    add_address_options(parser)
    words = None if args is None else list(args)
    address = address_of(parser.parse_args(own_arguments(words, "virst-viewer")))
    with open_context(words):
        node = rclpy.create_node("viewer", namespace="virst")
        asyncio.run(serve(NodeSource(node), address, announce))
    return 0


if __name__ == "__main__":
    sys.exit(main())
