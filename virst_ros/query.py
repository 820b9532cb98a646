"""`virst-query the red circle moving left`: tells the node what to look for, or what not to."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import sys
import time

import rclpy
from rclpy.node import Node
from rclpy.task import Future

from virst_interfaces.msg import Query, QueryArray
from virst_interfaces.srv import EnableQuery, RemoveQuery, SetQuery
from virst_ros.qos import LATCHED
from virst_ros.ros_context import ContextError, open_context, own_arguments
from virst_ros.text import shown

ACCEPTED, REFUSED, NO_ANSWER = 0, 1, 2
LIMIT_S = 10.0
PIECE_S = 0.2  # what Ctrl-C waits, at most


class NoAnswer(Exception):
    """The node is not there or does not answer; `str()` says what and after how long."""


def ask(
    node: Node,
    query: str,
    append: bool = False,
    service: str = "/virst/set_query",
    limit_s: float = LIMIT_S,
    name: str = "",
) -> SetQuery.Response:
    """Calls the service and waits for its answer. Raises NoAnswer after `limit_s` seconds."""
    request = SetQuery.Request(query=query, append=append, name=name)
    return _call(node, SetQuery, service, request, limit_s)


def remove(
    node: Node,
    query_id: int,
    service: str = "/virst/remove_query",
    limit_s: float = LIMIT_S,
) -> RemoveQuery.Response:
    """Calls the service and waits for its answer. Raises NoAnswer after `limit_s` seconds."""
    return _call(node, RemoveQuery, service, RemoveQuery.Request(id=query_id), limit_s)


def enable(
    node: Node,
    query_id: int,
    enabled: bool,
    service: str = "/virst/enable_query",
    limit_s: float = LIMIT_S,
) -> EnableQuery.Response:
    """Calls the service and waits for its answer. Raises NoAnswer after `limit_s` seconds."""
    request = EnableQuery.Request(id=query_id, enabled=enabled)
    return _call(node, EnableQuery, service, request, limit_s)


def read_queries(
    node: Node, topic: str = "/virst/queries", limit_s: float = LIMIT_S
) -> QueryArray:
    """The newest list of the node's queries. Raises NoAnswer after `limit_s` seconds."""
    read: Future = Future()

    def take(message: QueryArray) -> None:
        if not read.done():
            read.set_result(message)

    subscription = node.create_subscription(QueryArray, topic, take, LATCHED)
    try:
        _wait(node, read, time.monotonic() + limit_s)
    finally:
        node.destroy_subscription(subscription)
    if not read.done():
        raise NoAnswer(f"nothing on {topic} after {limit_s:g} s: does the node run?")
    return read.result()


def _call(node: Node, kind: type, service: str, request: object, limit_s: float):
    client = node.create_client(kind, service)
    deadline_s = time.monotonic() + limit_s
    try:
        if not client.wait_for_service(limit_s):
            raise NoAnswer(f"no service {service} after {limit_s:g} s: is the node configured?")
        future = client.call_async(request)
        _wait(node, future, deadline_s)
        if not future.done():
            raise NoAnswer(f"no answer from {service} after {limit_s:g} s")
        return future.result()
    finally:
        node.destroy_client(client)


def _wait(node: Node, future: Future, deadline_s: float) -> None:
    """Until it is done, or `time.monotonic()` is `deadline_s`; spins at least once.

    In pieces: Python hears a signal when rcl's wait has ended, not in it.
    """
    while not future.done():
        left_s = max(0.1, deadline_s - time.monotonic())
        rclpy.spin_until_future_complete(node, future, timeout_sec=min(left_s, PIECE_S))
        if time.monotonic() >= deadline_s:
            return


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="virst-query",
        description="Tells the node what to segment.",
        epilog="Exit status: 0 accepted, 1 refused, 2 no answer.",
    )
    parser.add_argument("query", nargs="*", help="what to look for, in words: the red circle")
    parser.add_argument("--append", action="store_true", help="keep the present queries")
    parser.add_argument("--name", default="", help="what others are to call it; default: its text")
    parser.add_argument("--list", action="store_true", help="the present queries, a line each")
    parser.add_argument(
        "--remove", type=_query_id, metavar="ID", help="forget the query of this id (--list)"
    )
    parser.add_argument(
        "--disable", type=_query_id, metavar="ID", help="let it rest: no masks, no time"
    )
    parser.add_argument("--enable", type=_query_id, metavar="ID", help="go on with one that rests")
    parser.add_argument("--clear", action="store_true", help="forget all queries")
    parser.add_argument(
        "--service",
        default="/virst/set_query",
        help="the node's; what else is asked lies beside it; default: %(default)s",
    )
    parser.add_argument(
        "--timeout", type=float, default=LIMIT_S, metavar="S", help="seconds; default: %(default)g"
    )
    parsed = parser.parse_args(arguments)
    by_id = (parsed.remove, parsed.enable, parsed.disable)
    wishes = (bool(parsed.query), parsed.list, parsed.clear, *(one is not None for one in by_id))
    if sum(wishes) != 1:
        parser.error(
            "give a query, or one of --list, --remove ID, --disable ID, --enable ID and --clear"
        )
    if parsed.append and not parsed.query:
        parser.error("--append: add which query?")
    if parsed.name and not parsed.query:
        parser.error("--name: of which query?")
    return parsed


def _query_id(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is no id of a query (1, 2, ...)")
    return int(text)


def _add(node: Node, parsed: argparse.Namespace) -> tuple[bool, str]:
    text = " ".join(parsed.query)
    answer = ask(node, text, parsed.append, parsed.service, parsed.timeout, parsed.name)
    named = f"query {answer.query_id}: " if answer.success else ""
    return answer.success, f"{named}{answer.message}"


def _list(node: Node, parsed: argparse.Namespace) -> tuple[bool, str]:
    queries = read_queries(node, _beside(parsed.service, "queries"), parsed.timeout).queries
    return True, "\n".join(_line(query) for query in queries) or "no queries"


def _line(query: Query) -> str:
    state = query.state if query.enabled else "disabled"
    named = f"  ({shown(query.name, 80)})" if query.name != query.text else ""
    return f"{query.id}  label {query.label}  {state}  {shown(query.text, 200)}{named}"


def _remove(node: Node, parsed: argparse.Namespace) -> tuple[bool, str]:
    service = _beside(parsed.service, "remove_query")
    answer = remove(node, parsed.remove, service, parsed.timeout)
    named = f"query {parsed.remove}: " if answer.success else ""
    return answer.success, f"{named}{answer.message}"


def _enable(node: Node, parsed: argparse.Namespace) -> tuple[bool, str]:
    service = _beside(parsed.service, "enable_query")
    enabled = parsed.enable is not None
    query_id = parsed.enable if enabled else parsed.disable
    answer = enable(node, query_id, enabled, service, parsed.timeout)
    named = f"query {query_id}: " if answer.success else ""
    return answer.success, f"{named}{answer.message}"


def _clear(node: Node, parsed: argparse.Namespace) -> tuple[bool, str]:
    answer = ask(node, "", False, parsed.service, parsed.timeout)
    return answer.success, "cleared"


def _beside(service: str, name: str) -> str:
    """Another topic or service of the same node."""
    return service.rpartition("/")[0] + "/" + name if "/" in service else name


def _wish(parsed: argparse.Namespace) -> Callable[[Node, argparse.Namespace], tuple[bool, str]]:
    """Whether it was accepted, and what to say of it."""
    if parsed.list:
        return _list
    if parsed.remove is not None:
        return _remove
    if parsed.enable is not None or parsed.disable is not None:
        return _enable
    return _clear if parsed.clear else _add


def main(args: list[str] | None = None) -> int:
    """The exit status: 0 accepted, 1 refused, 2 no answer."""
    try:
        parsed = _parse(own_arguments(args, "virst-query"))
        with open_context(args):
            node = rclpy.create_node("virst_query")
            try:
                accepted, text = _wish(parsed)(node, parsed)
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
    if not accepted:
        sys.stderr.write(f"refused: {text}\n")
        return REFUSED
    sys.stdout.write(f"{text}\n")
    return ACCEPTED


if __name__ == "__main__":
    sys.exit(main())
