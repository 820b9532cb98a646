"""Parameters: one dataclass, declared once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from rclpy.exceptions import InvalidParameterValueException
import rclpy.node
from rclpy.parameter import Parameter
import yaml

from virst_ros import parameters
from virst_ros.parameters import ParameterError, Parameters

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def declare(ros_context):
    """declare(alpha=5) -> (node, Parameters) of a node that was started with these."""
    nodes = []

    def run(**given):
        overrides = [Parameter(name, value=value) for name, value in given.items()]
        nodes.append(
            rclpy.node.Node("parameters", context=ros_context, parameter_overrides=overrides)
        )
        return nodes[-1], parameters.declare(nodes[-1])

    yield run
    for node in nodes:
        node.destroy_node()


def test_every_field_is_declared_with_its_default_and_a_description(declare):
    node, values = declare()

    assert values == Parameters()
    for field in dataclasses.fields(Parameters):
        assert node.get_parameter(field.name).value == field.default
        assert node.describe_parameter(field.name).description, field.name


def test_values_and_ranges_reach_ros(declare):
    node, values = declare(alpha=5, query="red", window_period_s=1, overlay=False)

    assert (values.alpha, values.query, values.overlay) == (5, "red", False)
    assert type(values.window_period_s) is float
    (limits,) = node.describe_parameter("reground_every").integer_range
    assert (limits.from_value, limits.to_value, limits.step) == (4, 64, 4)
    assert node.describe_parameter("autostart").read_only
    assert "rosbags" in node.describe_parameter("image_backend").additional_constraints


@pytest.mark.parametrize("wrong", [{"alpha": 0}, {"alpha": 9}, {"reground_every": 6}])
def test_integers_out_of_range_are_refused_by_ros(declare, wrong):
    with pytest.raises(InvalidParameterValueException):
        declare(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dtype": "int8"},
        {"image_transport": "theora"},
        {"window_period_s": -1},
        {"window_period_s": "fast"},
    ],
)
def test_what_ros_lets_pass_is_refused_with_the_name_and_the_value(declare, wrong):
    ((name, value),) = wrong.items()

    with pytest.raises(ParameterError) as caught:
        declare(**wrong)
    assert name in str(caught.value) and str(value) in str(caught.value)


def test_the_example_file_has_every_parameter_with_its_default():
    path = ROOT / "config" / "virst.yaml"
    if not path.is_file():
        pytest.skip("config/virst.yaml is not there")
    (section,) = yaml.safe_load(path.read_text()).values()

    assert section["ros__parameters"] == dataclasses.asdict(Parameters())
