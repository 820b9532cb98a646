"""`make setup`: one clear line when something is missing, nothing to do the second time."""

from __future__ import annotations

from collections.abc import Iterable
import os
from pathlib import Path
import re
import runpy
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from patience import LIMIT_S
from PIL import Image
import pytest
from test_layers import ROS_PACKAGES, imported

ROOT = Path(__file__).resolve().parents[1]
CHECK_TOOLS = ROOT / "scripts" / "check_tools.sh"
IN_VENV = Path(sys.prefix) == ROOT / ".venv"
# Modules that are called otherwise than what pip installs.
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml"}
# Left by a `make test` above this process.
MAKE_VARIABLES = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "VENV", "PYTHON")
# What `make setup` calls until it has checked the tools.
SHELL_TOOLS = ("sh", "bash", "make", "sed", "mkdir", "touch", "find", "dirname")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if name not in MAKE_VARIABLES}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=clean | (env or {}),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def fake_python(folder: Path, says: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return str(path)


def path_without(folder: Path, *missing: str) -> dict[str, str]:
    """An environment whose PATH has the tools of `make setup`, less those missing."""
    for tool in {*SHELL_TOOLS, "cmake", "c++"} - set(missing):
        found = shutil.which(tool)
        if found is None:
            pytest.skip(f"needs {tool}")
        (folder / tool).symlink_to(found)
    return {"PATH": str(folder), "CXX": "c++"}


def one_line(result: subprocess.CompletedProcess) -> str:
    """What was said, less make's own closing line; the set-up stops and makes nothing."""
    assert result.returncode != 0, result.stdout
    lines = (result.stdout + result.stderr).strip().splitlines()
    lines = [line for line in lines if not re.match(r"make(\[\d+\])?: \*\*\*", line)]
    assert len(lines) == 1, lines
    return lines[0]


def test_make_run_hands_the_pages_options_on_as_words_and_a_sentence_as_one(tmp_path):
    """Of a Python that says what it was given, a line for each word."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    python.chmod(0o755)

    result = make(
        *("--assume-old=setup", f"VENV={tmp_path}", "run"),
        *("QUERY=the red; circle", "PAGE=--host 0.0.0.0 --port 0; exit 7"),
    )

    said = result.stdout.splitlines()
    assert said[said.index("--query") + 1] == "the red; circle"
    assert said[said.index("--host") :] == ["--host", "0.0.0.0", "--port", "0;", "exit", "7"]


@pytest.mark.parametrize("says", ["CPython 3.9.18", "CPython 3.15.0", "PyPy 3.11.9"])
def test_wrong_python_gives_one_clear_line(tmp_path, says):
    python = fake_python(tmp_path, says)
    line = one_line(make("setup", f"VENV={tmp_path}/venv", f"PYTHON={python}"))
    assert says in line and "3.10 to 3.14" in line and "PYTHON=" in line
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("minor", [10, 11, 12, 13, 14])
def test_every_python_that_has_ros_wheels_is_taken(tmp_path, minor):
    python = fake_python(tmp_path, says=f"CPython 3.{minor}.1")
    result = subprocess.run([CHECK_TOOLS, python], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_missing_python_gives_one_clear_line(tmp_path):
    line = one_line(make("setup", f"VENV={tmp_path}/venv", "PYTHON=python3.11-of-nobody"))
    assert "python3.11-of-nobody" in line and "not found" in line


@pytest.mark.parametrize(("tool", "named"), [("cmake", "cmake"), ("c++", "C++ compiler")])
def test_missing_tool_gives_one_clear_line(tmp_path, tool, named):
    env = path_without(tmp_path, tool)
    python = os.path.realpath(sys.executable)
    line = one_line(make("setup", f"VENV={tmp_path}/venv", f"PYTHON={python}", env=env))
    assert named in line and "install" in line
    assert not (tmp_path / "venv").exists()


@pytest.mark.skipif(not IN_VENV, reason="not run by `make test`")
def test_second_setup_has_nothing_to_do():
    assert make("--question", "setup").returncode == 0


def variables_of_a_recipe(env: dict[str, str]) -> dict[str, str]:
    result = make("--eval", "show-env: ; @env", "show-env", env=env)
    assert result.returncode == 0, result.stderr
    return dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)


def test_make_keeps_another_ros_out():
    other = {"AMENT_PREFIX_PATH": "/opt/ros/other", "PYTHONPATH": "/opt/ros/other/python"}
    seen = variables_of_a_recipe(other)
    assert not other.keys() & seen.keys()


@pytest.mark.skipif(not IN_VENV, reason="not run by `make test`")
def test_interfaces_configure_on_the_wheels_without_a_hook(tmp_path):
    """As colcon does it: only the prefix says where the wheels are."""
    options = [f"-DCMAKE_PREFIX_PATH={sys.prefix}", f"-DPython3_EXECUTABLE={sys.executable}"]
    prefix = {"AMENT_PREFIX_PATH": sys.prefix, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    result = subprocess.run(
        ["cmake", "-S", ROOT / "virst_interfaces", "-B", tmp_path, *options],
        env=os.environ | prefix,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-2000:]


def metadata() -> dict:
    """What setup.py hands to setuptools."""
    said = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("setuptools.setup", lambda **keywords: said.update(keywords))
        patch.chdir(ROOT)
        runpy.run_path("setup.py")
    return said


def read_and_written(said: dict) -> list[str]:
    """The extras of files and pages: videos, bags, the viewer."""
    extras = said["extras_require"]
    return extras["video"] + extras["bags"] + extras["viewer"]


def named(requirements: Iterable[str]) -> dict[str, Requirement]:
    parsed = [Requirement(line) for line in requirements]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


def lines_of(file: str) -> list[str]:
    text = (ROOT / "requirements" / file).read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def third_party(*folders: str, leaving_out: tuple[str, ...] = ()) -> set[str]:
    """Distributions whose modules our files import, but for what sam2, aiohttp and ROS bring."""
    roots = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            if not any(path.is_relative_to(ROOT / out) for out in leaving_out):
                roots |= {name.split(".")[0] for name in imported(path)}
    ours = {"virst_model", "virst_viewer"}
    foreign = roots - set(sys.stdlib_module_names) - ROS_PACKAGES - ours - {"sam2", "yarl"}
    return {DISTRIBUTIONS.get(root, root) for root in foreign}


def test_the_model_and_the_node_import_what_is_required():
    said = metadata()
    extras = read_and_written(said) + said["extras_require"]["onnx"]
    required = named(said["install_requires"] + extras)
    taught = ("virst_model/train", "virst_model/evaluate", "virst_model/data")
    folders = ("virst_model", "virst_ros", "virst_viewer")
    assert third_party(*folders, leaving_out=taught) <= required.keys()


def test_training_and_evaluation_import_what_their_extra_has():
    said = metadata()
    extras = [line for name in ("train", "onnx") for line in said["extras_require"][name]]
    declared = named(said["install_requires"] + extras + read_and_written(said))
    assert third_party("virst_model") <= declared.keys()


def test_the_tests_have_the_engine_that_they_test():
    extras, pinned = metadata()["extras_require"], named(lines_of("dev.txt"))
    assert set(extras["onnx"]) <= set(extras["dev"])
    assert named(extras["onnx"]).keys() <= pinned.keys()


def test_what_sam2_imports_is_required_and_sam2_is_not():
    required = named(metadata()["install_requires"])
    assert {"hydra-core", "iopath"} <= required.keys()
    assert not {"sam2", "torchvision"} & required.keys()


def test_every_floor_is_what_make_floors_installs():
    said = metadata()
    extras = said["extras_require"]["train"] + read_and_written(said)
    declared = named(said["install_requires"] + extras)
    oldest: dict[str, Version] = {}
    for pin in map(Requirement, lines_of("floors.txt")):
        name, version = canonicalize_name(pin.name), Version(str(pin.specifier).strip("="))
        oldest[name] = min(version, oldest.get(name, version))
    for name in declared.keys() - {"torch"}:
        (floor,) = declared[name].specifier
        assert floor.operator == ">=" and Version(floor.version) == oldest[name], name


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_ci_pins_are_above_the_floors(python):
    said = metadata()
    extras = said["extras_require"]["train"] + said["extras_require"]["dev"]
    extras += read_and_written(said)
    declared = named(said["install_requires"] + extras)
    for line in [
        *lines_of("model.txt"),
        *lines_of("train.txt"),
        *lines_of("viewer.txt"),
        *lines_of("dev.txt"),
    ]:
        pin = Requirement(line)
        floor = declared.get(canonicalize_name(pin.name))
        if floor and (pin.marker is None or pin.marker.evaluate({"python_version": python})):
            lowest = Version(next(iter(pin.specifier)).version)
            assert lowest in floor.specifier, line


def test_every_python_gets_one_line_of_each_package():
    for file in ("model.txt", "train.txt", "viewer.txt", "dev.txt"):
        for python in ("3.10", "3.11", "3.14"):
            pins = [Requirement(line) for line in lines_of(file)]
            names = [
                p.name
                for p in pins
                if not p.marker or p.marker.evaluate({"python_version": python})
            ]
            assert sorted(set(names)) == sorted(names), (file, python)
            assert {p.name for p in pins} == set(names), (file, python)


def test_package_xml_names_what_rosdep_has():
    keys = {tag.text for tag in ET.parse(ROOT / "package.xml").iter("exec_depend")}
    from_rosdep = {"python3-torch", "python3-transformers-pip", "python3-hydra-core-pip"}
    assert from_rosdep | {"python3-yaml", "sensor_msgs_py"} <= keys


@pytest.mark.parametrize("file", ["README.md", "virst_model/model/packages.py"])
def test_who_names_sam2_names_what_it_imports(file):
    text = (ROOT / file).read_text()
    assert "--no-deps" in text and "hydra-core" in text and "iopath" in text


MISSING = """
import sys
sys.modules[{module!r}] = None  # what importing it finds where it is not installed
from runpy import run_module
sys.argv = ["virst", {verb!r}, *{arguments!r}]
run_module("virst_model", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["sam2", "hydra", "iopath"])
def test_a_missing_sam2_gives_one_line_with_the_command(module, tmp_path):
    result = run_without(module, "segment", [picture(tmp_path), "--query", "a star"])
    (line,) = result.stderr.strip().splitlines()
    assert result.returncode == 2
    assert line.startswith("error:") and "pip install" in line and module in line
    assert ("--no-deps" in line) == (module == "sam2")


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("bench", ["--frames", "1"]),
        ("bench", ["--frames", "1", "--random-weights"]),
        ("evaluate", ["--videos", "1"]),
        ("train", ["propagation", "data=synthetic", "start="]),
    ],
)
def test_every_program_says_that_sam2_is_missing(verb, arguments, tmp_path):
    if verb in {"train", "evaluate"}:
        pytest.importorskip("accelerate", reason="needs the extra train")
    where = {"train": [f"out={tmp_path}", "preset=tiny"]}
    result = run_without("sam2", verb, [*arguments, *where.get(verb, [])])
    assert result.returncode == 2, result.stderr
    assert "--no-deps" in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.stderr


def run_without(module: str, verb: str, arguments: list[str]) -> subprocess.CompletedProcess:
    """`virst VERB` where that module cannot be imported."""
    code = MISSING.format(module=module, verb=verb, arguments=arguments)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600
    )


def picture(folder: Path) -> str:
    path = folder / "frame.png"
    Image.new("RGB", (64, 48)).save(path)
    return str(path)


def test_versions_agree():
    versions = {
        ET.parse(ROOT / "package.xml").findtext("version"),
        ET.parse(ROOT / "virst_interfaces" / "package.xml").findtext("version"),
        re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text()).group(1),
    }
    assert len(versions) == 1, versions
