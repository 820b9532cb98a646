#!/bin/sh
# Usage: link_package.sh VENV. An editable install leaves out data files; links what ROS looks for in
# an install prefix: executables in lib/virst_ros, launch and config in share/, the ament index.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$(cd "$1" && pwd)

mkdir -p "$venv/lib/virst_ros" "$venv/share/virst_ros"
for name in segment camera query demo; do
  ln -sfn "../../bin/virst-$name" "$venv/lib/virst_ros/virst-$name"
done
for name in launch config package.xml; do
  ln -sfn "$root/$name" "$venv/share/virst_ros/$name"
done
mkdir -p "$venv/share/ament_index/resource_index/packages"
ln -sfn "$root/resource/virst_ros" "$venv/share/ament_index/resource_index/packages/virst_ros"
