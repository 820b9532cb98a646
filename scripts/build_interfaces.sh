#!/bin/sh
# Usage: build_interfaces.sh VENV. Builds virst_interfaces and installs it into the virtual
# environment, where the ROS wheels are.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$(cd "$1" && pwd)
build=$venv/build/virst_interfaces

export VIRTUAL_ENV="$venv" PATH="$venv/bin:$PATH"
# Another ROS installation of this shell would be found first.
unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH PYTHONPATH PYTHONHOME

# From nothing: an earlier configuration may name files that are gone.
rm -rf "$build"
cmake -S "$root/virst_interfaces" -B "$build" \
  -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF \
  -DCMAKE_PREFIX_PATH="$venv" -DCMAKE_INSTALL_PREFIX="$venv" \
  -DPython3_EXECUTABLE="$venv/bin/python" -DPython3_FIND_VIRTUALENV=ONLY
cmake --build "$build" --parallel
cmake --install "$build"
