"""The node's publishers and subscriptions: people may override their QoS, and misfits count."""

from __future__ import annotations

from collections.abc import Callable
import copy
import functools
from typing import Any

from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecyclePublisher
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSPolicyKind, QoSProfile, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from virst_ros.lifecycle import ACTIVE
from virst_ros.meter import Meter
from virst_ros.parameters import ParameterError

try:
    from rclpy.event_handler import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )
except ImportError:  # Humble
    from rclpy.qos_event import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )

# What `qos_overrides.TOPIC.publisher.POLICY` and `...subscription.POLICY` may change.
OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)


class Endpoints:
    """Makes them on `node`; all raise ParameterError for an override that cannot be."""

    def __init__(self, node: Node, meter: Meter) -> None:
        """`meter` counts `incompatible_qos`: readers and writers that do not match ours."""
        self._node, self._meter = node, meter

    def publish(self, kind: type, topic: str, qos: QoSProfile) -> Publisher:
        """A publisher that publishes in every state."""
        return self._make(self._node.create_publisher, (kind, topic), qos, "reader")

    def publish_while_active(self, kind: type, topic: str, qos: QoSProfile) -> LifecyclePublisher:
        """A publisher of a lifecycle node's; it may come while the node is active already."""
        create = self._node.create_lifecycle_publisher
        publisher = self._make(create, (kind, topic), qos, "reader")
        if self._node.state == ACTIVE:
            publisher.on_activate(None)  # rclpy does it for those that are there before
        return publisher

    def subscribe(
        self, kind: type, topic: str, callback: Callable[[Any], None], qos: QoSProfile
    ) -> Subscription:
        """A subscription."""
        create = self._node.create_subscription
        return self._make(create, (kind, topic, callback), qos, "writer")

    def _make(self, create: Callable, what: tuple, qos: QoSProfile, other: str) -> Any:
        """`create` takes `what`, of which the second is the topic, and a profile into which it
        writes the overrides: a copy.
        """
        kind = PublisherEventCallbacks if other == "reader" else SubscriptionEventCallbacks
        name = self._node.resolve_topic_name(what[1])

        def on_misfit(event: Any) -> None:
            policy = qos_policy_name_from_kind(event.last_policy_kind)
            remark = f"a {other} of {name} asks for another {policy.lower()} than the node's"
            self._meter.count("incompatible_qos", remark, event.total_count_change)

        options = QoSOverridingOptions(OVERRIDABLE)
        make = functools.partial(create, *what, qos_overriding_options=options)
        try:
            try:
                return make(copy.copy(qos), event_callbacks=kind(incompatible_qos=on_misfit))
            except UnsupportedEventTypeError:  # of a middleware without such events
                return make(copy.copy(qos))
        except (RuntimeError, ParameterException, ValueError) as error:
            raise ParameterError(f"qos_overrides.{name}: {error}") from error
