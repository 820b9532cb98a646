#!/bin/sh
# Usage: check_tools.sh PYTHON. One clear line and exit status 1 where something is missing that
# `make setup` needs: a CPython that the ROS 2 wheels are made for, with venv and headers,
# cmake >= 3.21, a C++ compiler.
set -eu
python=$1
# The same as in requirements/ros.txt; what is tested whole is 3.11.
wheels="3.10 to 3.14"

fail() {
  echo "virst_ros setup: $*" >&2
  exit 1
}

command -v "$python" > /dev/null 2>&1 ||
  fail "'$python' not found; install Python 3.11 (python3.11, python3.11-venv, python3.11-dev) or say PYTHON=/path/to/python, $wheels."
found=$("$python" -c 'import platform; print(platform.python_implementation(), platform.python_version())' 2> /dev/null) ||
  fail "'$python' does not run; install Python 3.11 or say PYTHON=/path/to/python, $wheels."
case $found in
  "CPython 3.1"[0-4].*) ;;
  *) fail "'$python' is $found, but the ROS 2 wheels are for CPython $wheels; say PYTHON=/path/to/one of them." ;;
esac
version=$(echo "$found" | sed 's/^CPython \([0-9]*\.[0-9]*\).*/\1/')
"$python" -c 'import ensurepip, venv' 2> /dev/null ||
  fail "'$python' cannot make virtual environments; install python$version-venv."
"$python" -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
  fail "'$python' has no headers (Python.h); install python$version-dev."
command -v cmake > /dev/null 2>&1 || fail "cmake not found; install cmake (3.21 or newer)."
version=$(cmake --version | sed -n '1s/^cmake version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
# shellcheck disable=SC2086
set -- $version
[ "${1:-0}" -gt 3 ] || { [ "${1:-0}" -eq 3 ] && [ "${2:-0}" -ge 21 ]; } ||
  fail "cmake ${1:-?}.${2:-?} is too old; install cmake 3.21 or newer."
compiler=${CXX:-c++}
# shellcheck disable=SC2086
set -- $compiler
command -v "$1" > /dev/null 2>&1 || fail "no C++ compiler ('$1' not found); install g++ or set CXX."
