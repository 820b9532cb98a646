#!/bin/sh
# Usage: check_pythons.sh VENVS PYTHON... For each PYTHON that runs here, a virtual environment
# VENVS/<version>, and in it, without torch, whose wheels take gigabytes: that everything in
# requirements/ and all extras resolve; virst_interfaces, built; the tests of ROS images. On
# Python 3.10 these run with the floors, which are Ubuntu 22.04's own versions.
set -eu
cd "$(dirname "$0")/.."
venvs=$1
shift

. scripts/each_python.sh

resolve() {
  quietly "$venv/bin/python" -m pip install --dry-run "$@"
  echo "pythons: $version resolves $*"
}

check() {
  scripts/check_tools.sh "$1"
  venv=$venvs/$version
  bin=$venv/bin
  "$1" -m venv "$venv"
  # A name and a version: enough for pip to ask for no other.
  torch=$("$bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch-2.13.0.dist-info
  mkdir -p "$torch"
  printf 'Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n' > "$torch/METADATA"
  resolve -r requirements/model.txt -r requirements/train.txt -r requirements/viewer.txt -r requirements/ros.txt \
    -r requirements/ros_build.txt -r requirements/dev.txt
  resolve ".[train,demo,dev]"
  rm -r "$torch"

  floors=
  [ "${version%.*}" != 3.10 ] || floors="-c requirements/floors.txt"
  # shellcheck disable=SC2086
  quietly "$bin/python" -m pip install -r requirements/ros.txt -r requirements/ros_build.txt \
    rosbags-image opencv-python-headless 'pytest>=9,<10' $floors
  quietly scripts/build_interfaces.sh "$venv"
  "$bin/python" -m pytest -q -p no:cacheprovider tests/ros/test_convert.py
}

each pythons "$@"
