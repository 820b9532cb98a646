#!/bin/sh
# Usage: check_distros.sh VENVS PYTHON... For each PYTHON that runs here, the tests of the node that
# need no torch, on ROS 2's wheels: Jazzy's on 3.11 and 3.12, the LTS of which there are wheels, with
# NumPy 1.26; Kilted's on the others, on 3.10 with setup.py's floors. Humble and Lyrical have no wheels.
set -eu
cd "$(dirname "$0")/.."
venvs=$1
shift

. scripts/each_python.sh

# Of the packages of Jazzy that its generator of Python asks CMake for and that have no wheel; all
# that is read of them is how a library of a debug build is called.
stand_in() {
  for package in "$@"; do
    mkdir -p "$venv/share/$package/cmake"
    echo 'set(PythonExtra_POSTFIX "")' > "$venv/share/$package/cmake/${package}Config.cmake"
  done
}

check() {
  scripts/check_tools.sh "$1"
  venv=$venvs/$version
  "$1" -m venv "$venv"
  case ${version%.*} in
    3.11 | 3.12) distro=jazzy wheels='-r requirements/jazzy.txt numpy==1.26.*' ;;
    *) distro=kilted wheels='-r requirements/ros.txt -r requirements/ros_build.txt' ;;
  esac
  floors=
  [ "${version%.*}" != 3.10 ] || floors="-c requirements/floors.txt"
  # shellcheck disable=SC2086
  quietly "$venv/bin/python" -m pip install $wheels $floors opencv-python-headless pillow tqdm pyyaml \
    rosbags rosbags-image py_trees 'pytest>=9,<10'
  [ $distro != jazzy ] || stand_in python_cmake_module PythonExtra
  quietly scripts/build_interfaces.sh "$venv"
  echo "distros: $distro on Python $version"
  # shellcheck disable=SC2086
  AMENT_PREFIX_PATH=$(cd "$venv" && pwd) PYTHONPATH=$PWD "$venv/bin/python" -m pytest -q -p no:cacheprovider \
    -m 'not slow and not long' $TESTS
}

# Of the node, beside a scripted session: neither weights nor torch.
TESTS="tests/ros/test_find.py tests/ros/test_nav2.py tests/ros/test_trees.py tests/ros/test_search.py
  tests/ros/test_queries.py tests/ros/test_convert.py tests/ros/test_endpoints.py
  tests/ros/test_consumers.py tests/ros/test_diagnosis.py tests/ros/test_parameters.py
  tests/ros/test_camera.py tests/ros/test_silence.py tests/ros/test_stamps.py tests/ros/test_layouts.py
  tests/ros/test_policy.py tests/ros/test_text.py tests/ros/test_worker.py tests/ros/test_lifecycle.py"

each distros "$@"
