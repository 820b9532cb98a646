"""Vectors of the released VIRST: inputs, random weights and outputs that its own code recorded.

Five kinds lie in vectors/ beside this file, whose README says how they were made; VIRST_GOLDEN
names a folder with all of them. All sizes and settings are read from the files, so that files of
other sizes are tested as they are.
"""

from collections.abc import Callable, Iterable
import dataclasses
from functools import cached_property
import hashlib
import json
import os
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models
import torch
from torch import Tensor, nn

from virst_model.checkpoints.load import empty, settle
from virst_model.checkpoints.names import from_released
from virst_model.checkpoints.released import sizes_of
from virst_model.config import BehaviourConfig, SegmenterConfig, VirstConfig, full
from virst_model.model.prompt import END, ST, START
from virst_model.model.virst import Virst

COMMITTED = Path(__file__).with_name("vectors")
FOLDER = Path(os.environ.get("VIRST_GOLDEN") or COMMITTED)
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

    def exact(self, name: str) -> Tensor:
        """An array as it is stored."""
        return torch.from_numpy(self._arrays[name])

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The recorded state dict."""
        return {name[2:]: self[name] for name in self.names if name.startswith("w/")}


def _different(paths: Iterable[Path]) -> list[Path]:
    """The first of those that hold the same bytes."""
    kept = {}
    for path in paths:
        kept.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
    return list(kept.values())


# The committed files are compared everywhere, as well as those of VIRST_GOLDEN.
_PATHS = [*sorted(FOLDER.glob("*.npz")), *sorted(COMMITTED.glob("*.npz"))]
FILES = [Golden(path) for path in _different(_PATHS)]


def each(kind: str) -> Callable:
    """Runs a test, as `file`, on every file of a kind.

    Where there is none the test is left out: of all tests of a kind it is
    `test_vectors_of_every_kind_are_there` that is skipped, or fails, in one line.
    """
    files = [file for file in FILES if file.kind == kind]
    if not files:
        return lambda test: None
    return pytest.mark.parametrize("file", files, ids=lambda file: file.path.stem)


def need(condition: bool, what: str) -> None:
    """Skips a test whose vectors are not there; fails it where VIRST_REQUIRE_GOLDEN=1.

    Called by a test itself, so that pytest sums up all that lack the same in one line.
    """
    if not condition:
        text = f"no {what} in {FOLDER}: VIRST_GOLDEN names a folder that has all"
        (pytest.fail if REQUIRED else pytest.skip)(text)


class Near:
    """Asserts largest absolute differences, and keeps the worst of each kind for the report."""

    def __init__(self) -> None:
        self._worst: dict[str, float] = {}

    def __call__(self, kind: str, ours: Tensor, theirs: Tensor, tolerance: float) -> None:
        assert ours.shape == theirs.shape, kind
        difference = (ours.double() - theirs).abs().max().item()
        self._worst[kind] = max(self._worst.get(kind, 0.0), difference)
        assert difference <= tolerance, f"{kind}: off by {difference}, allowed is {tolerance}"

    def report(self, config: pytest.Config) -> None:
        """Writes one line a kind, also without -s."""
        reporter = config.pluginmanager.getplugin("terminalreporter")
        with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            reporter.write_line("")
            for kind, worst in sorted(self._worst.items()):
                reporter.write_line(f"parity, {kind}: worst difference {worst:.1e}")


def under_our_names(released: dict[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict, or a part of one."""
    return {from_released(name): tensor for name, tensor in released.items()}


def load(module: Module, released: dict[str, Tensor], prefix: str) -> Module:
    """Strictly loads what a released state dict holds for the child `prefix` of our model."""
    ours = under_our_names(released)
    module.load_state_dict({n[len(prefix) :]: w for n, w in ours.items() if n.startswith(prefix)})
    return module.eval()


def load_alone(module: Module, file: Golden, above: str, prefix: str) -> Module:
    """As `load`, from a file of one module, whose names lack what is `above` it in the release."""
    return load(module, {above + name: weight for name, weight in file.weights.items()}, prefix)


def enlarge(small: Tensor, side: int) -> Tensor:
    """Pictures are stored small: nearest repetition along the last two axes."""
    factor = side // small.shape[-1]
    return small.repeat_interleave(factor, -1).repeat_interleave(factor, -2)


def segmenter_config(overrides: list[str], like: SegmenterConfig) -> SegmenterConfig:
    """`like` with what the release's overrides of SAM 2's configuration say."""
    texts = dict(text.lstrip("+").split("=", 1) for text in overrides)
    values_of = {name.removeprefix("model."): json.loads(text) for name, text in texts.items()}
    trunk, attention = "image_encoder.trunk.", "memory_attention."
    names = {
        "side": "image_size",
        "embed_dim": trunk + "embed_dim",
        "num_heads": trunk + "num_heads",
        "stages": trunk + "stages",
        "global_att_blocks": trunk + "global_att_blocks",
        "window_spec": trunk + "window_spec",
        "window_pos_embed_bkg": trunk + "window_pos_embed_bkg_spatial_size",
        "memory_layers": attention + "num_layers",
        "memory_feedforward": attention + "layer.dim_feedforward",
    }
    values = {ours: values_of[name] for ours, name in names.items() if name in values_of}
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return dataclasses.replace(like, **(values | lists))


def whole_model(file: Golden, behaviour: BehaviourConfig, initial_fusion: bool = True) -> Virst:
    """The recorded model: sizes from its parameters and metadata, weights as users import them."""
    sizes, like = file.meta["config"], full()
    config = dataclasses.replace(
        like,
        umt=dataclasses.replace(like.umt, heads=sizes["vit"][2]),
        tome=dataclasses.replace(like.tome, heads=sizes["vit"][2]),
        llm=dataclasses.replace(like.llm, heads=sizes["heads"]),
        segmenter=segmenter_config(file.meta["sam_overrides"], like.segmenter),
        fusion=dataclasses.replace(like.fusion, initial=initial_fusion),
        behaviour=behaviour,
    )
    config = sizes_of({name: weight.shape for name, weight in file.weights.items()}, config)
    _check_sizes(config, file)
    model = empty(config, _ids_only(config, file.meta["seg_token_id"]))
    model.load_state_dict(under_our_names(file.weights), assign=True)
    return settle(model, "cpu", torch.float32)


def _check_sizes(config: VirstConfig, file: Golden) -> None:
    """Sizes that the parameters tell are those that the file's metadata tells."""
    sizes, llm = file.meta["config"], config.llm
    ours = (llm.hidden, llm.layers, llm.kv_heads, llm.intermediate, llm.vocab)
    assert ours == tuple(sizes[name] for name in ("hidden", "layers", "kv", "inter", "vocab"))
    # The last of the configured blocks does not run.
    assert (config.umt.dim, config.umt.depth + 1) == tuple(sizes["vit"][:2])
    assert config.segmenter == segmenter_config(file.meta["sam_overrides"], config.segmenter)


def _ids_only(config: VirstConfig, st_id: int) -> Tokenizer:
    """Conversations are recorded as ids; of the tokenizer only the number of [SEG] is read."""
    free = [number for number in range(config.llm.vocab) if number != st_id]
    words = {ST: st_id, START: free[0], END: free[1], "\n": free[2]}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="\n"))
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in (ST, START, END)])
    return tokenizer
