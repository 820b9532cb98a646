"""`make setup`: one clear line when something is missing, nothing to do the second time."""

from __future__ import annotations

import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parents[1]
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
        timeout=120,
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


def test_wrong_python_gives_one_clear_line(tmp_path):
    python = fake_python(tmp_path, says="CPython 3.12.1")
    line = one_line(make("setup", f"VENV={tmp_path}/venv", f"PYTHON={python}"))
    assert "CPython 3.12.1" in line and "3.11" in line and "PYTHON=" in line
    assert not (tmp_path / "venv").exists()


def test_missing_python_gives_one_clear_line(tmp_path):
    line = one_line(make("setup", f"VENV={tmp_path}/venv", "PYTHON=python3.11-of-nobody"))
    assert "python3.11-of-nobody" in line and "not found" in line


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="needs Python 3.11")
@pytest.mark.parametrize(("tool", "named"), [("cmake", "cmake"), ("c++", "C++ compiler")])
def test_missing_tool_gives_one_clear_line(tmp_path, tool, named):
    env = path_without(tmp_path, tool)
    python = os.path.realpath(sys.executable)
    line = one_line(make("setup", f"VENV={tmp_path}/venv", f"PYTHON={python}", env=env))
    assert named in line and "install" in line
    assert not (tmp_path / "venv").exists()


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="not run by `make test`")
def test_second_setup_has_nothing_to_do():
    assert make("--question", "setup").returncode == 0


def variables_of_a_recipe(env: dict[str, str]) -> dict[str, str]:
    result = make("--eval", "show-env: ; @env", "show-env", env=env)
    assert result.returncode == 0, result.stderr
    return dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)


def test_make_gives_every_process_the_dds_profile():
    none = {"FASTDDS_DEFAULT_PROFILES_FILE": "", "FASTRTPS_DEFAULT_PROFILES_FILE": ""}
    seen = variables_of_a_recipe(none)
    assert seen["FASTDDS_DEFAULT_PROFILES_FILE"] == str(ROOT / "config" / "fastdds.xml")


@pytest.mark.parametrize(
    "name", ["FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"]
)
def test_a_dds_profile_of_the_user_wins(name):
    none = {"FASTDDS_DEFAULT_PROFILES_FILE": "", "FASTRTPS_DEFAULT_PROFILES_FILE": ""}
    seen = variables_of_a_recipe(none | {name: "/their/profile.xml"})
    assert str(ROOT / "config" / "fastdds.xml") not in seen.values()
    assert seen[name] == "/their/profile.xml"


def test_make_keeps_another_ros_out():
    other = {"AMENT_PREFIX_PATH": "/opt/ros/other", "PYTHONPATH": "/opt/ros/other/python"}
    seen = variables_of_a_recipe(other)
    assert not other.keys() & seen.keys()


def test_versions_agree():
    versions = {
        ET.parse(ROOT / "package.xml").findtext("version"),
        ET.parse(ROOT / "virst_interfaces" / "package.xml").findtext("version"),
        re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text()).group(1),
    }
    assert len(versions) == 1, versions
