"""Parameters are written once: nodes, launch files, config/virst.yaml and the README follow."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from virst_ros import parameters
from virst_ros.launch_arguments import launch_arguments
from virst_ros.parameters import CameraParameters, ParameterError, Parameters

ROOT = Path(__file__).resolve().parents[2]
DECLARED = (Parameters, CameraParameters)


@pytest.fixture
def declare(ros_context):
    """declare(Parameters, alpha=5) -> (node, values) of a node that was started with these."""
    from rclpy.node import Node
    from rclpy.parameter import Parameter

    from virst_ros import declaration

    nodes = []

    def run(declared=Parameters, **values):
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        nodes.append(Node("parameters", context=ros_context, parameter_overrides=overrides))
        return nodes[-1], declaration.declare(nodes[-1], declared)

    yield run
    for node in nodes:
        node.destroy_node()


@pytest.mark.parametrize("declared", DECLARED)
def test_every_field_is_declared_with_its_default_and_a_description(declare, declared):
    node, values = declare(declared)

    assert values == declared()
    for field in dataclasses.fields(declared):
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


def test_a_webcams_number_is_a_text(declare):
    _, values = declare(CameraParameters, source=0, rate_hz=30)

    assert (values.source, values.rate_hz) == ("0", 30.0)


@pytest.mark.parametrize("wrong", [{"alpha": 0}, {"alpha": 9}, {"reground_every": 6}])
def test_integers_out_of_range_are_refused_by_ros(declare, wrong):
    from rclpy.exceptions import InvalidParameterValueException

    with pytest.raises(InvalidParameterValueException):
        declare(**wrong)


def test_a_number_is_no_sentence(declare):
    from rclpy.exceptions import InvalidParameterTypeException

    with pytest.raises(InvalidParameterTypeException):
        declare(query=7)


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


@pytest.mark.parametrize("declared", DECLARED)
def test_defaults_are_allowed(declared):
    for field in dataclasses.fields(declared):
        assert parameters.checked(field, field.default) == field.default


@pytest.mark.parametrize("declared", DECLARED)
def test_a_launch_argument_stands_for_every_field(declared):
    arguments = launch_arguments(declared)

    assert [(a.name, a.kind) for a in arguments] == [
        (field.name, field.type) for field in dataclasses.fields(declared)
    ]
    # Launch reads the text of an argument as YAML of that type.
    values = {a.name: a.default if a.kind is str else yaml.safe_load(a.default) for a in arguments}
    assert declared(**values) == declared()
    assert [type(values[a.name]) for a in arguments] == [a.kind for a in arguments]


def test_help_says_what_is_allowed():
    helps = {argument.name: argument.description for argument in launch_arguments(Parameters)}

    assert helps["window_size"].endswith("4 to 64, a multiple of 4.")
    assert helps["window_period_s"].endswith("0 to 10 s.")
    assert helps["dtype"].endswith("One of auto, float32, float16, bfloat16, fp32, fp16, bf16.")
    assert helps["query"] == "The first sentence to follow; set anew, it replaces all queries."
    assert all(description.endswith(".") for description in helps.values())


def test_the_node_and_the_camera_share_no_name():
    """demo.launch.py has the arguments of both."""
    assert not set(Parameters.__annotations__) & set(CameraParameters.__annotations__)


def test_the_example_file_has_every_parameter_with_its_default():
    (section,) = yaml.safe_load((ROOT / "config" / "virst.yaml").read_text()).values()
    shipped = section["ros__parameters"]

    assert shipped == dataclasses.asdict(Parameters())
    assert [type(value) for value in shipped.values()] == [
        field.type for field in dataclasses.fields(Parameters)
    ]


def test_the_example_file_and_the_readmes_table_are_current():
    assert parameters.main([]) == 0


@pytest.fixture
def checkout(monkeypatch, tmp_path) -> Path:
    """A folder with copies of what is written from the parameters."""
    for name in parameters.DOCUMENTS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.setattr(parameters, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name, line, edited",
    [
        ("config/virst.yaml", "alpha: 3", "alpha: 4"),
        ("config/virst.yaml", "    # Anchor frames", "    # Frames"),
        ("README.md", "| `alpha` | int | 3 |", "| `alpha` | int | 4 |"),
        ("docs/camera.md", "| `loop` | bool | true |", "| `loop` | bool | false |"),
    ],
)
def test_an_edited_file_is_named_and_written_anew(checkout, capsys, name, line, edited):
    path = checkout / name
    current = path.read_text()
    assert line in current
    path.write_text(current.replace(line, edited))

    assert parameters.main([]) == 1
    assert f"{name} is not current" in capsys.readouterr().err
    assert parameters.main(["--write"]) == 0
    assert path.read_text() == current
    assert parameters.main([]) == 0


def test_another_parameter_makes_the_files_stale(checkout, monkeypatch, capsys):
    fields = {"alpha": (int, dataclasses.field(default=4, metadata=_metadata("alpha")))}
    edited = dataclasses.make_dataclass(
        "Edited", [(name, kind, field) for name, (kind, field) in fields.items()]
    )
    for name in ("Parameters", "CameraParameters"):
        monkeypatch.setattr(parameters, name, edited)

    assert parameters.main([]) == 1
    assert capsys.readouterr().err.count("is not current") == len(parameters.DOCUMENTS)


def _metadata(name: str) -> dict:
    return dict(Parameters.__dataclass_fields__[name].metadata)


def test_a_readme_without_a_place_for_the_table_is_named(checkout, capsys):
    (checkout / "README.md").write_text("# Nothing\n")

    assert parameters.main(["--write"]) == 2
    assert "README.md has no lines" in capsys.readouterr().err
