#!/bin/sh
# Usage: check_floors.sh PYTHON VENV. Proves setup.py's floors: a virtual environment with the oldest
# version of each (requirements/floors.txt), torch apart, and in it the tests of the packaged model's
# masks, of the reference's vectors, of a video's masks, of ROS images, bags, data sets, training, CLIP's
# scores and evaluation.
set -eu
cd "$(dirname "$0")/.."
python=$1
venv=$2

quietly() {
  "$@" > "$venv/check.log" 2>&1 || { tail -n 30 "$venv/check.log" >&2; exit 1; }
}

scripts/check_tools.sh "$python"
"$python" -m venv "$venv"
echo "floors: python packages in $venv (minutes the first time)"
torch=$(grep '^torch==' requirements/model.txt)
sam2=$(grep '^sam2==' requirements/no_deps.txt)
quietly "$venv/bin/python" -m pip install --prefer-binary "$torch" -r requirements/floors.txt \
  -r requirements/ros.txt -r requirements/ros_build.txt 'pytest>=9,<10' 'setuptools>=77' wheel
export SAM2_BUILD_CUDA=0
quietly "$venv/bin/python" -m pip install --no-deps --no-build-isolation "$sam2"
quietly scripts/build_interfaces.sh "$venv"
"$venv/bin/python" -m pytest -p no:cacheprovider -m 'not slow' tests/checkpoints/test_weights.py \
  tests/model/test_parity.py tests/offline/test_video.py tests/offline/test_segment.py tests/ros/test_convert.py tests/sources \
  tests/data/test_rvos.py tests/train/test_train.py tests/offline/test_scorers.py tests/evaluate/test_evaluate_program.py
