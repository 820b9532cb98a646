"""Other kernels, other roundings: what must hold on every CPU, tried under settings of this one.

Settings count from the start of a process, so each is tried in one of its own. `make settings`
runs parity, restarts and masks under all of them.
"""

import os
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest
import torch

from virst_model.evaluate.metrics import region

TESTS = Path(__file__).parent
RECORDED = TESTS / "fixtures" / "masks_of_demo.npz"
SETTINGS = {
    "native": {},
    "default": {"ATEN_CPU_CAPABILITY": "default"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512"},
    "onednn avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "mkl compatible": {"MKL_CBWR": "COMPATIBLE"},
}
# Kernels that differ most from each other, and from those of the CPU itself.
FEW = ("default", "mkl compatible")
SAME_MASK = 0.99  # IoU; rounding moves a pixel here and there


def run(setting: str, *arguments: str, threads: int = 1) -> subprocess.CompletedProcess:
    """This Python in a process of its own under a setting; skipped where the CPU has it not."""
    if setting == "avx512" and torch.backends.cpu.get_cpu_capability() != "AVX512":
        pytest.skip("a CPU without AVX-512")
    own = {"OMP_NUM_THREADS": str(threads), "VIRST_THREADS": str(threads)}
    own["OMP_WAIT_POLICY"] = "PASSIVE"  # a thread that waits leaves its core to other tests
    own["PYTHONPATH"] = os.pathsep.join([str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | SETTINGS[setting] | own,
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
    )


def masks(path: Path) -> np.ndarray:
    """bool (Q, T, H, W)."""
    with np.load(path) as stored:
        shape = stored["shape"]
        return np.unpackbits(stored["masks"], count=int(np.prod(shape))).reshape(shape) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting, threads",
    [*((setting, 1) for setting in SETTINGS), *((setting, 2) for setting in ("native", *FEW))],
)
def test_the_packaged_model_finds_the_recorded_masks(setting, threads, tmp_path):
    ended = run(
        setting, "tests/fixtures/follow_demo.py", str(tmp_path / "masks.npz"), threads=threads
    )

    assert ended.returncode == 0, ended.stderr
    found, recorded = masks(tmp_path / "masks.npz"), masks(RECORDED)
    assert np.count_nonzero(recorded) > 1000
    for ours, theirs in zip(found, recorded, strict=True):
        assert region(theirs, ours).min() >= SAME_MASK


@pytest.mark.slow
@pytest.mark.parametrize("setting", FEW)
def test_parity_holds_with_other_kernels(setting):
    """Without the longest, of training through the tracker: `make settings` has it, too."""
    parity = ["tests/model/test_parity.py", "-k", "not with_propagation"]
    ended = run(setting, "-m", "pytest", "-q", "-p", "no:cacheprovider", *parity)

    assert ended.returncode == 0, ended.stdout[-4000:]
    assert "passed" in ended.stdout
