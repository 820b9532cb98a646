"""Released files, made here at a small size, become a folder that `load` reads."""

import dataclasses
import json
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest
from released_files import (
    ALPHABET,
    RANK,
    VOCAB,
    small_config,
    write_tokenizer,
    write_videochat,
    write_virst,
)
from safetensors.torch import load_file
from streams import upsample
import torch
from torch import Tensor

from virst_model import load
from virst_model.checkpoints import importer
from virst_model.checkpoints.folder import INDEX_FILE, WeightsError
from virst_model.checkpoints.load import build, empty, settle
from virst_model.checkpoints.names import from_released, to_released
from virst_model.checkpoints.released import (
    LORA_A,
    LORA_ALPHA,
    LORA_B,
    LORA_TARGET,
    PREFIX,
    SEGMENTER,
    read_tokenizer,
)
from virst_model.config import full
from virst_model.model.memory import Memory
from virst_model.model.prompt import ST
from virst_model.model.virst import Virst

# Runs the program and prints the most memory that it had, in kB. (What getrusage says of a child
# counts the parent that it was forked from.)
PEAK = """
import sys
from virst_model.checkpoints.importer import main
status = main(sys.argv[1:])
print(*(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(status)
"""


@pytest.fixture(scope="module")
def parameters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """Random parameters of the small model, by released name."""
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    model = build(small_config(), tokenizer=read_tokenizer(folder))
    return {to_released(name): tensor for name, tensor in model.state_dict().items()}


@pytest.fixture(scope="module")
def lora(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    pairs = {}
    generator = torch.Generator().manual_seed(1)
    for name in filter(LORA_TARGET.fullmatch, parameters):
        outputs, inputs = parameters[name].shape
        stem = name.removesuffix(".weight")
        pairs[stem + LORA_A] = 0.05 * torch.randn(RANK, inputs, generator=generator)
        pairs[stem + LORA_B] = 0.05 * torch.randn(outputs, RANK, generator=generator)
    assert len(pairs) == 2 * 7 * 2
    return pairs


@pytest.fixture(scope="module")
def merged(parameters: dict[str, Tensor], lora: dict[str, Tensor]) -> dict[str, Tensor]:
    found = dict(parameters)
    for name in filter(LORA_TARGET.fullmatch, parameters):
        stem = name.removesuffix(".weight")
        update = LORA_ALPHA / RANK * (lora[stem + LORA_B] @ lora[stem + LORA_A])
        found[name] = parameters[name] + update
    return found


@pytest.fixture
def files(tmp_path: Path, parameters: dict[str, Tensor], lora: dict[str, Tensor]) -> Path:
    """A folder with virst.pt (everything, LoRA, prefix), sam2.pt and videochat/."""
    write_virst(tmp_path / "virst.pt", parameters | lora)
    segmenter = {n: t for n, t in parameters.items() if n.startswith(SEGMENTER)}
    sam2 = {name.removeprefix(SEGMENTER): tensor for name, tensor in segmenter.items()}
    torch.save({"model": sam2}, tmp_path / "sam2.pt")
    write_videochat(tmp_path / "videochat", parameters)
    return tmp_path


def run(files: Path, *options: str) -> int:
    given = {"--virst": "virst.pt", "--videochat": "videochat", "--sam2": "sam2.pt"}
    paths = [str(x) for option, name in given.items() for x in (option, files / name)]
    return importer.main(["import", *paths, "--out", str(files / "out"), *options])


def assert_same(model: Virst, released: dict[str, Tensor]) -> None:
    ours = model.state_dict()
    assert set(ours) == {from_released(name) for name in released}
    for name, tensor in released.items():
        assert torch.equal(ours[from_released(name)], tensor), name


def test_lora_and_prefix_round_trip_bit_exactly(files: Path, merged: dict[str, Tensor]) -> None:
    assert run(files, "--dtype", "float32") == 0
    model = load(files / "out")
    assert_same(model, merged)
    assert model.config == dataclasses.replace(
        small_config(),
        fusion=dataclasses.replace(full().fusion, initial=False),
        behaviour=model.config.behaviour,
    )
    assert model.config.behaviour.name == "released"
    assert model.tokenizer.token_to_id(ST) == VOCAB - 1
    assert model.tokenizer.encode("that").ids[0] == len(ALPHABET)


def test_merged_checkpoint_without_prefix(files: Path, merged: dict[str, Tensor]) -> None:
    torch.save({"model_state_dict": merged}, files / "virst.pt")
    assert run(files, "--dtype", "float32", "--behaviour", "paper") == 0
    model = load(files / "out")
    assert_same(model, merged)
    assert model.config.behaviour.name == "paper" and model.config.fusion.initial


def test_partial_checkpoint_takes_the_rest_from_the_other_files(
    files: Path,
    parameters: dict[str, Tensor],
    lora: dict[str, Tensor],
    merged: dict[str, Tensor],
) -> None:
    own = ("model.seg_prompter.", "model.initial_seg_fusion_module.", "model.occ_predictor.")
    trained = {name: tensor for name, tensor in parameters.items() if name.startswith(own)}
    write_virst(files / "virst.pt", trained | lora)
    assert run(files, "--dtype", "float32") == 0
    assert_same(load(files / "out"), merged)


def test_parameters_are_stored_in_the_dtype_and_position_tables_are_not(
    files: Path, merged: dict[str, Tensor]
) -> None:
    assert run(files) == 0
    table = "segmenter.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    for name, tensor in load_file(files / "out" / "model.safetensors").items():
        released = merged[to_released(name)]
        assert torch.equal(tensor, released if name == table else released.bfloat16()), name
    model = load(files / "out", dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert {buffer.dtype for buffer in model.buffers()} == {torch.float32}


def test_many_files_with_an_index(
    files: Path, merged: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "SHARD_BYTES", 1 << 20)
    monkeypatch.setattr(importer, "OPEN_BYTES", 1 << 18)
    assert run(files, "--dtype", "float32") == 0
    assert len(list((files / "out").glob("model-*-of-*.safetensors"))) > 3
    assert_same(load(files / "out"), merged)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_imported_model_runs_in_every_dtype(files: Path, dtype: torch.dtype) -> None:
    assert run(files) == 0
    forward(load(files / "out", dtype=dtype))


def test_folder_whose_files_do_not_fit_together_is_refused(files: Path) -> None:
    assert run(files) == 0
    path = files / "out" / "config.json"
    config = json.loads(path.read_text())
    config["llm"]["intermediate"] += 1
    path.write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="size mismatch") as caught:
        load(files / "out")
    assert len(str(caught.value).splitlines()) == 1


def test_index_that_leads_out_of_the_folder_is_refused(files: Path) -> None:
    index = {"weight_map": {"vlm.llm.lm_head.weight": "../elsewhere.safetensors"}}
    (files / INDEX_FILE).write_text(json.dumps(index))
    (files / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match="elsewhere"):
        load(files)


def test_missing_and_unexpected_names_are_listed(
    files: Path,
    parameters: dict[str, Tensor],
    lora: dict[str, Tensor],
    capsys: pytest.CaptureFixture,
) -> None:
    state = parameters | lora
    missing = "model.seg_prompter.decoder.1.norm3.bias"
    del state[missing]
    write_virst(files / "virst.pt", state | {"model.seg_prompter.colour": torch.zeros(1)})
    error = refused(files, capsys)
    assert missing in error and "model.seg_prompter.colour" in error and "virst.pt" in error


def test_lora_without_its_partner_is_refused(
    files: Path,
    parameters: dict[str, Tensor],
    lora: dict[str, Tensor],
    capsys: pytest.CaptureFixture,
) -> None:
    gone = "model.layers.1.mlp.up_proj" + LORA_B
    write_virst(files / "virst.pt", {n: t for n, t in (parameters | lora).items() if n != gone})
    assert gone in refused(files, capsys)


def no_file(files: Path) -> str:
    (files / "virst.pt").unlink()
    return "virst.pt"


def truncated_checkpoint(files: Path) -> str:
    whole = (files / "virst.pt").read_bytes()
    (files / "virst.pt").write_bytes(whole[: len(whole) // 2])
    return "virst.pt"


def truncated_safetensors(files: Path) -> str:
    path = files / "videochat" / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    return path.name


def empty_checkpoint(files: Path) -> str:
    (files / "virst.pt").write_bytes(b"")
    return "virst.pt"


def checkpoint_of_another_model(files: Path) -> str:
    torch.save({"model_state_dict": {"conv1.weight": torch.zeros(3, 3)}}, files / "virst.pt")
    return "virst.pt"


def sam2_as_checkpoint(files: Path) -> str:
    (files / "virst.pt").write_bytes((files / "sam2.pt").read_bytes())
    return "virst.pt"


def only_optimizer(files: Path) -> str:
    torch.save({"optimizer": {"lr": 0.1}}, files / "virst.pt")
    return "virst.pt"


def pickled_code(files: Path) -> str:
    torch.save({"model_state_dict": {}, "loader": subprocess.Popen}, files / "virst.pt")
    return "virst.pt"


def scalars_for_matrices(files: Path) -> str:
    state = torch.load(files / "virst.pt", weights_only=True)["model_state_dict"]
    torch.save(
        {"model_state_dict": {name: torch.tensor(1.0) for name in state}}, files / "virst.pt"
    )
    return "virst.pt"


def numbers_for_names(files: Path) -> str:
    torch.save({"model_state_dict": {7: torch.zeros(3, 3)}}, files / "virst.pt")
    return "virst.pt"


def text_for_a_number(files: Path) -> str:
    (files / "videochat" / "config.json").write_text('{"num_attention_heads": "28"}')
    return "config.json: num_attention_heads is '28', must be a number above 0"


def heads_that_do_not_divide(files: Path) -> str:
    (files / "videochat" / "config.json").write_text('{"num_attention_heads": 5}')
    return "virst.pt"


def tokens_without_numbers(files: Path) -> str:
    (files / "videochat" / "added_tokens.json").write_text('{"<|a|>": 3, "<|b|>": "4"}')
    return "added_tokens.json"


def not_finite(files: Path) -> str:
    content = torch.load(files / "sam2.pt", weights_only=True)
    content["model"]["no_obj_ptr"][0, 3] = np.nan
    torch.save(content, files / "sam2.pt")
    virst = torch.load(files / "virst.pt", weights_only=True)
    del virst["model_state_dict"][PREFIX + SEGMENTER + "no_obj_ptr"]
    torch.save(virst, files / "virst.pt")
    return "sam2.pt"


def no_tokenizer(files: Path) -> str:
    (files / "videochat" / "merges.txt").unlink()
    return "videochat"


def damaged_tokenizer(files: Path) -> str:
    (files / "videochat" / "vocab.json").write_text('{"a": ')
    return "videochat"


def out_in_use(files: Path) -> str:
    (files / "out").mkdir()
    (files / "out" / "photo.jpg").write_text("precious")
    return "out"


@pytest.mark.parametrize(
    "spoil",
    [
        no_file,
        truncated_checkpoint,
        truncated_safetensors,
        empty_checkpoint,
        checkpoint_of_another_model,
        sam2_as_checkpoint,
        only_optimizer,
        pickled_code,
        scalars_for_matrices,
        numbers_for_names,
        text_for_a_number,
        heads_that_do_not_divide,
        tokens_without_numbers,
        not_finite,
        no_tokenizer,
        damaged_tokenizer,
        out_in_use,
    ],
)
def test_bad_input_is_one_line_with_the_file(spoil, files: Path, capsys) -> None:
    assert spoil(files) in refused(files, capsys)


def refused(files: Path, capsys: pytest.CaptureFixture) -> str:
    """The one line that says why, with status 2; nothing is left behind."""
    before = sorted(files.rglob("*"))
    assert run(files) == 2
    # A progress bar is wiped out before it.
    written = capsys.readouterr().err.splitlines()
    lines = [line for line in written if line.strip() and not line.startswith("import: ")]
    assert len(lines) == 1 and lines[0].startswith("error: ")
    assert sorted(files.rglob("*")) == before
    return lines[0]


def test_inspect_shows_groups(files: Path, capsys: pytest.CaptureFixture) -> None:
    assert importer.main(["inspect", str(files / "virst.pt")]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["group", "tensors", "elements", "dtype"]
    table = {row[0]: row[1:] for row in rows if "(LoRA)" not in row}
    assert table["model.embed_tokens"] == ["1", f"{VOCAB * 112:,}", "float32"]
    assert table["model.seg_model.mask_downsample"] == ["2", "17", "float32"]
    lora = next(row for row in rows if "(LoRA)" in row)
    assert lora[:3] == ["model.layers", "(LoRA)", "28"]


def test_inspect_reads_folders_and_refuses_others(files: Path, capsys) -> None:
    assert importer.main(["inspect", str(files / "videochat")]) == 0
    assert "model.mm_projector" in capsys.readouterr().out
    assert importer.main(["inspect", str(files / "nothing.pt")]) == 2
    assert capsys.readouterr().err == f"error: {files / 'nothing.pt'}: no such file\n"


def test_program_is_reached_by_its_documented_name() -> None:
    command = [sys.executable, "-m", "virst_model", "inspect", "nothing.pt"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "error: nothing.pt: no such file\n")


@pytest.mark.slow
def test_importing_two_gigabytes_needs_little_memory(files: Path) -> None:
    config = small_config(hidden=2240, intermediate=17920, layers=8)
    size = 0
    state = {}
    model = empty(config, read_tokenizer(files / "videochat"))
    for name, tensor in model.state_dict().items():
        state[to_released(name)] = torch.zeros(tensor.shape, dtype=torch.bfloat16)
        size += 2 * tensor.numel()
    assert size > 2e9
    write_virst(files / "virst.pt", state)
    del state
    for path in (files / "videochat").glob("model*"):
        path.unlink()
    options = ["--videochat", files / "videochat", "--virst", files / "virst.pt"]
    command = [sys.executable, "-c", PEAK, "import", *options, "--out", files / "out"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    peak = 1024 * int(done.stdout.split()[-2])
    assert peak < 2e9 < size, f"{peak / 1e9:.2f} GB for {size / 1e9:.2f} GB of weights"


@pytest.mark.slow
def test_forward_at_full_width(files: Path) -> None:
    """Four blocks of UMT-L, Hiera-L at 1024 and two layers of the 7B language model, on a CPU."""
    config = full()
    config = dataclasses.replace(
        config,
        umt=dataclasses.replace(config.umt, depth=4),
        llm=dataclasses.replace(config.llm, layers=2),
    )
    model = empty(config, read_tokenizer(files / "videochat"))
    # The same numbers again and again: drawing two billion takes longer than what is tested.
    drawn = torch.empty(2**20 + 1).uniform_(-1, 1)
    state = {}
    for name, tensor in model.state_dict().items():
        scale = 1.0 if name.endswith("norm.weight") else 0.02
        numbers = drawn.mul(scale).repeat(-(-tensor.numel() // len(drawn)))
        state[name] = numbers[: tensor.numel()].view(tensor.shape)
    model.load_state_dict(state, assign=True)
    forward(settle(model, "cpu", torch.float32))


@torch.inference_mode()
def forward(model: Virst) -> None:
    """A frame's way: clip, grounding, anchor, memory, tracking; all shapes, all finite."""
    segmenter = model.config.segmenter
    frame_HW3 = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    features = model.encode_frame(frame_HW3)
    tokens = model.encode_clip([model.clip_pixels(frame_HW3)] * 4)
    shape = (1, model.config.tome.tokens, model.config.llm.hidden)
    assert tokens.embeds.shape == shape
    prompts_TNC = model.ground([tokens], [features, features], "the red ball")
    assert prompts_TNC.shape == (2, 10, segmenter.dim)
    anchor = model.decode_anchor(features, prompts_TNC[0])
    memory = Memory(model.config)
    memory.write_anchor(0, model.encode_memory(features, anchor))
    tracked = model.propagate(features, [memory.read(1)])
    for values in (prompts_TNC, anchor.raw_logits, tracked.raw_logits, tracked.pointer):
        assert values.isfinite().all()
    assert upsample(tracked, 90, 160).shape == (1, 90, 160)
