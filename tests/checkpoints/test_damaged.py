"""Folders of weights and checkpoints that somebody, or a disk, has changed: one line each."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
import pickle
import shutil
import zipfile

from fuzzing import FUZZ, JSON, places, with_value
from hypothesis import example, given, settings
from hypothesis import strategies as st
import pytest
from safetensors.torch import load_file, save_file
from streams import smallest
import torch

from virst_model.checkpoints.folder import (
    CONFIG_FILE,
    INDEX_FILE,
    WEIGHTS_FILE,
    WeightsError,
    read_weights,
    weight_files,
)
from virst_model.checkpoints.importer import main, tensor_table
from virst_model.checkpoints.load import TINY, build, load, save, stored_config
from virst_model.checkpoints.released import ReleaseError
from virst_model.config import VirstConfig
from virst_model.configure import LIMITS, parse_config
from virst_model.errors import FileError

DESCRIBED = json.loads(json.dumps(smallest().to_dict()))
PLACES = places(DESCRIBED)


def changed(place: tuple, value: object) -> dict:
    """The smallest configuration with another value at a place."""
    return with_value(DESCRIBED, place, value)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    save(build(smallest()), folder, torch.float32)
    return folder


@pytest.fixture(scope="module")
def fuzzed(whole, tmp_path_factory) -> Path:
    """A folder of its own, whose config.json each example writes."""
    folder = tmp_path_factory.mktemp("fuzzed") / "weights"
    shutil.copytree(whole, folder)
    return folder


def test_every_number_of_a_configuration_has_a_range():
    for kind, limits in LIMITS.items():
        numbers = {
            field.name
            for field in dataclasses.fields(kind)
            if any(part in str(field.type) for part in ("int", "float"))
        }
        assert numbers == set(limits), kind


def test_a_configuration_is_read_as_it_was_written():
    assert parse_config(DESCRIBED) == smallest()


@settings(FUZZ, max_examples=600)
@given(st.sampled_from(PLACES), JSON)
def test_any_value_in_a_configuration_is_taken_or_named_with_its_field(place, value):
    try:
        config = parse_config(changed(place, value))
    except ValueError as error:
        field = next(name for name in reversed(place) if isinstance(name, str))
        assert field in str(error) or place[0] in str(error)
        assert "\n" not in str(error)
    else:
        assert isinstance(config, VirstConfig)


@settings(FUZZ, max_examples=40)
@given(st.sampled_from(PLACES), JSON)
@example(("umt", "depth"), 256)
@example(("llm", "layers"), 2)
@example(("umt", "heads"), 3)
@example(("fusion", "grid"), 200)
@example(("segmenter", "window_spec"), [1, 1, 1, 3])
@example(("segmenter", "stages"), [1, 1, 1, 2])
@example(("segmenter", "num_maskmem"), 9)
@example(("pointing",), True)
def test_a_changed_configuration_is_refused_in_one_line_or_loads(fuzzed, place, value):
    (fuzzed / CONFIG_FILE).write_text(json.dumps(changed(place, value)))
    try:
        load(fuzzed)
    except WeightsError as error:
        assert str(fuzzed) in str(error) and "\n" not in str(error)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("umt", "side"), "32", "umt.side is '32', must be a whole number"),
        (("umt", "side"), True, "umt.side is True, must be a whole number"),
        (("umt", "base_grid"), 10**6, "umt.base_grid is 1000000, must be 1 to 256"),
        (("llm", "rope_theta"), float("nan"), "llm.rope_theta is nan, must be 1 to 1e+12"),
        (("segmenter", "stages"), [1, 1, "1", 1], "segmenter.stages[2] is '1', must be a whole"),
        (("segmenter", "stages"), [1, 1], "segmenter.stages has 2 values, must have 4"),
        (("llm", "kv_heads"), 3, "llm.heads is 2, must be a multiple of 3 (llm.kv_heads)"),
        (("known_words",), [1], "known_words[0] is 1, must be a text"),
        (("fusion", "second"), "sum", "fusion.second is 'sum'; known are attention, mlp"),
        (("umt",), {}, "umt.side is not there"),
        (("deep",), 1, "unknown key 'deep'; known are preset, umt"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_told_by_file_field_and_value(
    fuzzed, place, value, said
):
    (fuzzed / CONFIG_FILE).write_text(json.dumps(changed(place, value)))
    with pytest.raises(WeightsError) as error:
        stored_config(fuzzed)
    assert str(error.value).startswith(f"{fuzzed / CONFIG_FILE}: {said}")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_that_are_no_finite_numbers_are_named(whole, tmp_path, number, dtype):
    shutil.copytree(whole, tmp_path / "weights")
    path = tmp_path / "weights" / WEIGHTS_FILE
    state = {name: tensor.to(dtype) for name, tensor in load_file(path).items()}
    state["occ_predictor.weight"].view(-1)[3] = number
    save_file(state, path)
    with pytest.raises(WeightsError, match=r"occ_predictor\.weight holds numbers that are not"):
        load(tmp_path / "weights")


@settings(FUZZ, max_examples=60)
@given(st.integers(0, 2**31), st.binary(min_size=1, max_size=8))
def test_a_damaged_file_of_weights_is_refused_in_one_line_or_loads(fuzzed, whole, at, found):
    shutil.copy(whole / CONFIG_FILE, fuzzed)
    damaged = bytearray((whole / WEIGHTS_FILE).read_bytes())
    header = int.from_bytes(damaged[:8], "little") + 8
    start = at % header  # the numbers behind it may be anything
    damaged[start : start + len(found)] = found
    (fuzzed / WEIGHTS_FILE).write_bytes(damaged)
    try:
        load(fuzzed)
    except WeightsError as error:
        assert "\n" not in str(error)


TOKENIZER = json.loads((TINY / "tokenizer.json").read_text(encoding="utf-8"))
# All but each of its words and merges, which are as many as all else.
OF_TOKENIZER = [
    place
    for place in places(TOKENIZER)
    if len(place) == 2 or place[:2] not in (("model", "vocab"), ("model", "merges"))
]


@settings(FUZZ, max_examples=60)
@given(st.sampled_from(OF_TOKENIZER), JSON)
@example(("added_tokens",), [])
@example(("model", "vocab"), {"the": 0})
@example(("model", "vocab"), {})
def test_a_changed_tokenizer_is_refused_in_one_line_or_loads(fuzzed, whole, place, value):
    shutil.copy(whole / CONFIG_FILE, fuzzed)
    shutil.copy(whole / WEIGHTS_FILE, fuzzed)
    path = fuzzed / "tokenizer.json"
    path.write_text(json.dumps(with_value(TOKENIZER, place, value)))
    try:
        load(fuzzed)
    except WeightsError as error:
        assert str(fuzzed) in str(error) and "\n" not in str(error)
    finally:
        shutil.copy(whole / "tokenizer.json", fuzzed)


INDEX = {"metadata": {}, "weight_map": {"a": WEIGHTS_FILE, "b": WEIGHTS_FILE}}


@settings(FUZZ, max_examples=100)
@given(st.sampled_from(places(INDEX)), JSON | st.text(max_size=3))
@example(("weight_map", "a"), "")
@example(("weight_map", "a"), "\0")
@example(("weight_map", "a"), "x" * 300)
def test_a_changed_index_is_refused_in_one_line_or_names_what_is_there(
    fuzzed, whole, place, value
):
    shutil.copy(whole / WEIGHTS_FILE, fuzzed)
    path = fuzzed / INDEX_FILE
    path.write_text(json.dumps(with_value(INDEX, place, value)))
    try:
        for file in weight_files(fuzzed):
            read_weights(file)
    except WeightsError as error:
        assert str(fuzzed) in str(error) and "\n" not in str(error)
    finally:
        path.unlink()


def saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def with_pickle(path: Path, stream: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    """A file of torch.save that describes its tensors with `stream`."""
    whole = zipfile.ZipFile(io.BytesIO(saved({"a.b": torch.zeros(3)})))
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name in whole.namelist():
            archive.writestr(name, stream if name.endswith("data.pkl") else whole.read(name))
    return path


@settings(FUZZ, max_examples=300)
@given(st.integers(0, 2**31), st.binary(min_size=1, max_size=6), st.booleans())
def test_a_damaged_checkpoint_is_refused_in_one_line_or_listed(tmp_path_factory, at, found, cut):
    path = tmp_path_factory.getbasetemp() / "damaged.pt"
    state = {f"model.layer{i}.weight": torch.ones(2, 3) for i in range(3)}
    whole = zipfile.ZipFile(io.BytesIO(saved({"model_state_dict": state, "epoch": 3})))
    stream = bytearray(whole.read("archive/data.pkl"))
    start = at % len(stream)
    stream[start : start + len(found)] = found
    with_pickle(path, bytes(stream[:start] if cut else stream))
    read_or_refused(path)


@settings(FUZZ, max_examples=150)
@given(st.integers(0, 2**31), st.binary(min_size=1, max_size=6))
def test_a_damaged_archive_is_refused_in_one_line_or_listed(tmp_path_factory, at, found):
    path = tmp_path_factory.getbasetemp() / "archive.pt"
    damaged = bytearray(saved({"model": {"a.b": torch.ones(2, 3)}}))
    start = at % len(damaged)
    damaged[start : start + len(found)] = found
    path.write_bytes(damaged)
    read_or_refused(path)


def read_or_refused(path: Path) -> None:
    try:
        tensor_table(path).encode()
    except FileError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)


def nested(depth: int) -> object:
    content: object = 1
    for _ in range(depth):
        content = (content,)
    return content


@pytest.mark.parametrize(
    "content",
    [
        {1: torch.zeros(2)},
        {nested(300): 1},
        {"a": nested(300)},
        {"a\ud800": 3},
        {"a": torch.zeros(2).to_sparse()},
        {"a": torch.zeros(2, dtype=torch.complex64)},
        {"model_state_dict": [torch.zeros(2)]},
        [1, 2],
        7,
    ],
)
def test_what_is_no_tensors_by_name_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "other.pt"
    path.write_bytes(saved(content))
    with pytest.raises(ReleaseError) as error:
        tensor_table(path)
    assert "\n" not in str(error.value)
    str(error.value).encode()


def test_a_name_that_a_terminal_would_obey_is_shown_and_not_obeyed(tmp_path, capsys):
    path = tmp_path / "names.pt"
    path.write_bytes(saved({"\x1b[2J.\ud800": torch.zeros(2)}))
    assert main(["inspect", str(path)]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and "\\x1b[2J.\\ud800" in said


def test_what_would_unpack_to_more_than_it_is_long_is_not_unpacked(tmp_path):
    stream = pickle.dumps(b"\0" * (64 << 20), protocol=2)
    path = with_pickle(tmp_path / "bomb.pt", stream, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ReleaseError, match=r"compressed, as torch\.save does not: not unpacked"):
        tensor_table(path)


def test_a_description_of_tensors_that_is_too_large_is_not_read(tmp_path):
    path = with_pickle(tmp_path / "long.pt", b"\x80\x02" + b"N0" * (33 << 20) + b"N.")
    with pytest.raises(ReleaseError, match="describes its tensors in 66 MiB"):
        tensor_table(path)
