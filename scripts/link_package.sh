#!/bin/sh
# Usage: link_package.sh VENV. An editable install leaves out data files; links what ROS looks for in
# an install prefix: executables in lib/virst_ros, launch, config and layouts in share/, the ament index.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$(cd "$1" && pwd)

share=$venv/share/virst_ros

mkdir -p "$venv/lib/virst_ros"
for name in virst virst-segment virst-camera virst-query virst-viewer virst-demo; do
  ln -sfn "../../bin/$name" "$venv/lib/virst_ros/$name"
done
# Files, not folders: ros2 launch does not look behind a linked folder.
rm -rf "$share"
mkdir -p "$share/launch" "$share/config" "$share/rviz" "$share/foxglove"
ln -s "$root/package.xml" "$share/"
ln -s "$root"/launch/*.launch.py "$share/launch/"
ln -s "$root"/config/* "$share/config/"
ln -s "$root"/rviz/* "$share/rviz/"
ln -s "$root"/foxglove/* "$share/foxglove/"
mkdir -p "$venv/share/ament_index/resource_index/packages"
ln -sfn "$root/resource/virst_ros" "$venv/share/ament_index/resource_index/packages/virst_ros"
