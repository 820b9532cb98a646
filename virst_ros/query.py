"""`virst-query "the red circle moving left"`: tells the node what to look for."""

from __future__ import annotations

import argparse
import sys
import time

import rclpy
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

from virst_interfaces.srv import SetQuery
from virst_ros.ros_context import ContextError, open_context

ACCEPTED, REFUSED, NO_ANSWER = 0, 1, 2


class NoAnswer(Exception):
    """The service is not there or does not answer; `str()` says which and after how long."""


def ask(
    node: Node, query: str, append: bool = False, service: str = "/virst/set_query", limit_s=10.0
) -> SetQuery.Response:
    """Calls the service and waits for its answer. Raises NoAnswer after `limit_s` seconds."""
    client = node.create_client(SetQuery, service)
    deadline_s = time.monotonic() + limit_s
    try:
        if not client.wait_for_service(limit_s):
            raise NoAnswer(f"no service {service} after {limit_s:g} s: is the node configured?")
        future = client.call_async(SetQuery.Request(query=query, append=append))
        rclpy.spin_until_future_complete(
            node, future, timeout_sec=max(0.1, deadline_s - time.monotonic())
        )
        if not future.done():
            raise NoAnswer(f"no answer from {service} after {limit_s:g} s")
        return future.result()
    finally:
        node.destroy_client(client)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="virst-query",
        description="Tells the node what to segment.",
        epilog="Exit status: 0 accepted, 1 refused, 2 no answer.",
    )
    parser.add_argument("query", nargs="?", help='what to look for: "the red circle"')
    parser.add_argument("--append", action="store_true", help="keep the present queries")
    parser.add_argument("--clear", action="store_true", help="forget all queries")
    parser.add_argument("--service", default="/virst/set_query", help="default: %(default)s")
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="seconds; default: %(default)g"
    )
    parsed = parser.parse_args(arguments)
    if parsed.clear == (parsed.query is not None):
        parser.error("give a query, or --clear")
    if parsed.clear and parsed.append:
        parser.error("--append and --clear do not go together")
    return parsed


def main(args: list[str] | None = None) -> int:
    """The exit status: 0 accepted, 1 refused, 2 no answer."""
    args = sys.argv if args is None else ["virst-query", *args]
    parsed = _parse(remove_ros_args(args)[1:])
    try:
        with open_context(args):
            node = rclpy.create_node("virst_query")
            try:
                answer = ask(
                    node, parsed.query or "", parsed.append, parsed.service, parsed.timeout
                )
            finally:
                node.destroy_node()
    except ContextError as error:
        sys.stderr.write(f"cannot start: {error}\n")
        return NO_ANSWER
    except NoAnswer as error:
        sys.stderr.write(f"{error}\n")
        return NO_ANSWER
    except KeyboardInterrupt:
        return NO_ANSWER
    if not answer.success:
        sys.stderr.write(f"refused: {answer.message}\n")
        return REFUSED
    sys.stdout.write(f"query {answer.query_id}: {answer.message}\n")
    return ACCEPTED


if __name__ == "__main__":
    sys.exit(main())
