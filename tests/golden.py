"""Vectors of the released VIRST: inputs, random weights and outputs that its own code recorded.

They lie outside the repository, in the folder VIRST_GOLDEN (by default shared/golden beside the
checkout), whose README says how each was made. All sizes and settings are read from the files, so
that files of other sizes are tested as they are.
"""

from collections.abc import Callable
from functools import cached_property
import json
import os
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from virst_model.checkpoints import from_released_state

FOLDER = Path(
    os.environ.get("VIRST_GOLDEN") or Path(__file__).resolve().parents[2] / "shared" / "golden"
)
REQUIRED = os.environ.get("VIRST_REQUIRE_GOLDEN") == "1"

# What marks a kind of file: the module that its metadata names, or an array that only it has.
KINDS = {
    "InitialSegFusion": "initial fusion",
    "SegPrompter": "second fusion",
    "PretrainVisionTransformer": "umt",
    "ToMe16_mlp_hd64": "tome",
    "out/padded_hidden": "vlm",
    "SAM2Virst": "segmenter",
    "out/seg_prompts": "end to end",
    "out/fn/dice_num1": "losses",
    "out/v0/J": "metrics",
}

Module = TypeVar("Module", bound=nn.Module)


class Golden:
    """One file. `file["in/x"]` is a tensor: float32, or integers and booleans as they are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrays = np.load(path)
        self.names = frozenset(self._arrays.files)
        self.meta: dict[str, Any] = json.loads(bytes(self._arrays["meta"]))
        marks = {self.meta.get("module"), *self.names}
        self.kind = next((kind for mark, kind in KINDS.items() if mark in marks), "unknown")

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.names and f"{name}_int8" in self.names:
            own = f"{name}_scale"
            scale = own if own in self.names else "in/scale"
            return self[f"{name}_int8"].float() * self[scale]
        array = torch.from_numpy(self._arrays[name])
        return array.float() if array.is_floating_point() else array

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The recorded state dict."""
        return {name[2:]: self[name] for name in self.names if name.startswith("w/")}


FILES = [Golden(path) for path in sorted(FOLDER.glob("*.npz"))]


def each(kind: str) -> Callable:
    """Runs a test, as `file`, on every file of a kind; where there is none it is skipped."""
    files = [file for file in FILES if file.kind == kind]
    return pytest.mark.parametrize("file", files, ids=lambda file: file.path.stem)


def need(condition: bool, what: str) -> None:
    """Skips a test whose vectors are not there; fails it where VIRST_REQUIRE_GOLDEN=1."""
    if not condition:
        (pytest.fail if REQUIRED else pytest.skip)(f"{FOLDER} has no {what}")


class Near:
    """Asserts largest absolute differences, and keeps the worst of each kind for the report."""

    def __init__(self) -> None:
        self._worst: dict[str, float] = {}

    def __call__(self, kind: str, ours: Tensor, theirs: Tensor, tolerance: float) -> None:
        assert ours.shape == theirs.shape, kind
        difference = (ours.float() - theirs).abs().max().item()
        self._worst[kind] = max(self._worst.get(kind, 0.0), difference)
        assert difference <= tolerance, f"{kind}: off by {difference}, allowed is {tolerance}"

    def report(self, config: pytest.Config) -> None:
        """Writes one line a kind, also without -s."""
        reporter = config.pluginmanager.getplugin("terminalreporter")
        with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            reporter.write_line("")
            for kind, worst in sorted(self._worst.items()):
                reporter.write_line(f"parity, {kind}: worst difference {worst:.1e}")


def load(module: Module, released: dict[str, Tensor], prefix: str) -> Module:
    """Strictly loads what a released state dict holds for the child `prefix` of our model."""
    ours = from_released_state(released)
    module.load_state_dict({n[len(prefix) :]: w for n, w in ours.items() if n.startswith(prefix)})
    return module.eval()


def load_alone(module: Module, file: Golden, above: str, prefix: str) -> Module:
    """As `load`, from a file of one module, whose names lack what is `above` it in the release."""
    return load(module, {above + name: weight for name, weight in file.weights.items()}, prefix)


def enlarge(small: Tensor, side: int) -> Tensor:
    """Pictures are stored small: nearest repetition along the last two axes."""
    factor = side // small.shape[-1]
    return small.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
