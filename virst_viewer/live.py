"""virst live --source 0 --query "the red cup": a page that shows a camera with its masks.

    virst live --source 0 --query "the red cup"
    virst live --source video.mp4 --query "the red circle" --query "the blue square"
    virst live --source rtsp://camera/stream --host 0.0.0.0 --name robot.local

The page's address is written once it can be opened. Without --host only this machine reaches it;
with it whoever has the token that stands in the address. Ctrl-C ends. It needs no ROS: the page of
a running node is `virst viewer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from virst_model.arguments import Parser
from virst_model.errors import program
from virst_model.live.options import add_live_options, open_live
from virst_viewer.address import add_address_options, address_of, announce
from virst_viewer.server import serve


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program: 0 after Ctrl-C; 2 where the input or an option cannot be used, in one line."""
    parser = Parser(prog="virst live", description=__doc__)
    add_live_options(parser)
    add_address_options(parser)
    options = parser.parse_args(arguments)
    address = address_of(options)
    source = open_live(options)
    asyncio.run(serve(source, address, announce))
    return 0
