"""The bond by which a lifecycle manager knows that the node lives, where one is asked for."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from virst_ros.parameters import ParameterError

# As Nav2's own nodes have it.
PERIOD_S, TIMEOUT_S = 0.1, 4.0


class Heartbeat:
    """The node's side of a bond while it is active; the manager makes the other.

    `begin` and `end` are for the node's own thread.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._kind: type | None = None  # bondpy's Bond, where there is to be one
        self._topic = self._name = ""
        self._bond: Any = None

    def prepare(self, topic: str, name: str) -> None:
        """From the next `begin` on: a bond on `topic` with the id `name`; none where it is empty.

        Raises ParameterError where bondpy is not installed.
        """
        self._kind, self._topic, self._name = None, topic, name
        if not topic:
            return
        try:
            from bondpy.bondpy import Bond
        except ImportError as error:
            raise ParameterError(
                f"bond_topic is {topic!r}, and there is no bond without bondpy "
                f"(ros-DISTRO-bondpy, from Jazzy on): {error}"
            ) from error
        self._kind = Bond

    def begin(self) -> None:
        """Beats from now on."""
        if self._kind is not None:
            self._bond = self._kind(self._node, self._topic, self._name)
            self._bond.set_heartbeat_period(PERIOD_S)
            self._bond.set_heartbeat_timeout(TIMEOUT_S)
            self._bond.start()

    def end(self) -> None:
        """Tells the manager; leaves nothing on the node."""
        if self._bond is not None:
            self._bond.shutdown()
            # That ends both, and leaves them among those that the executor waits for.
            self._node.destroy_subscription(self._bond.sub)
            self._node.destroy_publisher(self._bond.pub)
            self._bond = None
