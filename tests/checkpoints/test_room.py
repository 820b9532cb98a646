"""How much memory there is for weights, and which numbers they are where nobody says it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from training import smallest_weights

from virst_model.arguments import Parser
from virst_model.bench.__main__ import main as bench
from virst_model.checkpoints import room
from virst_model.checkpoints.device import DeviceError
from virst_model.checkpoints.load import load, save, weights_bytes
from virst_model.checkpoints.options import add_model_options, load_model
from virst_model.checkpoints.room import GIB, check_room, default_dtype, dtype_of, memory_left
from virst_model.dtypes import DTYPES
from virst_model.errors import UsageError
from virst_model.model.quantized import Int8Linear, is_quantized

PARAMETERS_7B = 8_202_971_828


def machine(root: Path, available_gib: int, **files: str) -> Path:
    """A file system that says how much memory there is; `files`: of /proc and /sys, `_` is `/`."""
    lines = f"MemTotal: {2**30} kB\nMemAvailable: {available_gib * 2**20} kB\nHugePages_Total: 0\n"
    for name, text in {"proc_meminfo": lines, **files}.items():
        path = root / name.replace("__", "@").replace("_", "/").replace("@", "_")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_machine_says_what_it_has(tmp_path):
    assert memory_left(machine(tmp_path, 19)) == 19 * GIB


def test_a_system_that_says_nothing_refuses_nothing(tmp_path, monkeypatch):
    assert memory_left(tmp_path) is None
    monkeypatch.setattr(room, "memory_left", lambda: None)
    check_room(2**60, torch.float32, "cpu")


@pytest.mark.parametrize("limited", ["", "robot/", "robot/model/"])
def test_a_limit_holds_wherever_it_is_on_the_way_to_the_group(limited, tmp_path):
    folder = f"sys/fs/cgroup/{limited}".replace("/", "_")
    files = {
        "proc_self_cgroup": "0::/robot/model\n",
        "sys_fs_cgroup_memory.max": "max\n",
        "sys_fs_cgroup_memory.current": f"{2 * GIB}\n",
        f"{folder}memory.max": f"{8 * GIB}\n",
        f"{folder}memory.current": f"{3 * GIB}\n",
        f"{folder}memory.stat": f"anon {2 * GIB}\ninactive_file {GIB}\nactive_file 0\n",
    }
    # What files take of the three is given up for others.
    assert memory_left(machine(tmp_path, 19, **files)) == 6 * GIB


def test_the_first_version_of_control_groups_is_read_too(tmp_path):
    folder = "sys_fs_cgroup_memory_"
    files = {
        "proc_self_cgroup": "7:cpu,cpuacct:/elsewhere\n5:memory:/not/mounted/here\n0::/x\n",
        f"{folder}memory.limit__in__bytes": f"{4 * GIB}\n",
        f"{folder}memory.usage__in__bytes": f"{GIB}\n",
        f"{folder}memory.stat": "total_inactive_file 0\n",
    }
    assert memory_left(machine(tmp_path, 19, **files)) == 3 * GIB


def test_a_limit_that_is_larger_than_the_machine_is_none(tmp_path):
    files = {
        "proc_self_cgroup": "0::/\n",
        "sys_fs_cgroup_memory.max": str(64 * GIB),
        "sys_fs_cgroup_memory.current": "0",
    }
    assert memory_left(machine(tmp_path, 19, **files)) == 19 * GIB


def test_the_7b_model_is_bfloat16_on_a_cpu_and_small_ones_are_float32():
    assert default_dtype(PARAMETERS_7B, "cpu") == torch.bfloat16
    assert default_dtype(10_000_000, "cpu") == torch.float32
    assert default_dtype(10_000_000, "cuda:1") == torch.bfloat16


def test_float32_of_the_7b_model_is_refused_with_its_figure_where_it_has_no_room(monkeypatch):
    monkeypatch.setattr(room, "memory_left", lambda: 24 * GIB)

    with pytest.raises(DeviceError) as refused:
        check_room(4 * PARAMETERS_7B, torch.float32, "cpu")

    assert str(refused.value) == (
        "device cpu: the model takes 33.6 GiB of memory as float32, and 24.0 are left: "
        "say dtype bfloat16 (16.8 GiB)"
    )
    check_room(2 * PARAMETERS_7B, torch.bfloat16, "cpu")
    check_room(4 * PARAMETERS_7B, torch.float32, "cuda")  # which says so itself
    monkeypatch.setattr(room, "memory_left", lambda: 64 * GIB)
    check_room(4 * PARAMETERS_7B, torch.float32, "cpu")


@pytest.mark.parametrize("said", [["--dtype", "float32"], ["--dtype", "fp32"]])
def test_programs_refuse_in_one_line_before_they_make_the_weights(said, monkeypatch, capsys):
    monkeypatch.setattr(room, "memory_left", lambda: 24 * GIB)
    monkeypatch.setattr(torch, "Generator", lambda *_: pytest.fail("weights are made"))

    assert bench(["--preset", "7b", "--random-weights", "--device", "cpu", *said]) == 2

    error = capsys.readouterr().err
    assert error.startswith("error: --device cpu: the model takes 33.6 GiB of memory as float32")
    assert error.count("\n") == 1


def test_a_folder_s_weights_are_refused_too(monkeypatch):
    monkeypatch.setattr(room, "memory_left", lambda: 1 << 20)
    parser = Parser()
    add_model_options(parser)

    with pytest.raises(DeviceError, match="are left: say quantize int8"):
        load(dtype=torch.bfloat16)
    with pytest.raises(UsageError, match=r"^--device cpu: .* are left: say dtype bfloat16"):
        load_model(parser.parse_args(["--device", "cpu"]))


def test_short_and_long_names_mean_the_same():
    for short, long in (("fp32", "float32"), ("fp16", "float16"), ("bf16", "bfloat16")):
        assert dtype_of(short) == dtype_of(long) == getattr(torch, long)
    assert set(DTYPES) == {"fp32", "float32", "fp16", "float16", "bf16", "bfloat16"}
    assert dtype_of(None) is None


def test_what_is_quantized_is_counted_before_and_after(tmp_path):
    folder = smallest_weights(tmp_path / "weights")
    plain, small = load(folder), load(folder, quantize="int8")

    counted = weights_bytes(plain, torch.float32, "int8")

    assert counted == weights_bytes(small, torch.float32)
    assert counted < weights_bytes(plain, torch.float32)
    assert counted == sum(p.numel() * p.element_size() for p in small.parameters())


def test_a_quantized_model_answers_and_is_not_saved(tmp_path):
    model = load(smallest_weights(tmp_path / "weights"), dtype=torch.bfloat16, quantize="int8")

    layers = [m for m in model.vlm.llm.model.layers.modules() if isinstance(m, Int8Linear)]
    assert is_quantized(model.vlm.llm) and layers
    assert {(m.weight.dtype, m.scale.dtype) for m in layers} == {(torch.int8, torch.float32)}
    image = np.zeros((48, 64, 3), np.uint8)
    with torch.inference_mode():
        tokens = model.encode_clip([model.clip_pixels(image)] * 4)
        prompts_TNC = model.ground([tokens], [model.encode_frame(image)] * 4, "the red circle")
    assert prompts_TNC.dtype == torch.bfloat16 and prompts_TNC.isfinite().all()
    with pytest.raises(ValueError, match="is not saved"):
        save(model, tmp_path / "again")


def test_another_way_to_quantize_is_refused():
    with pytest.raises(ValueError, match="one of off, int8, not 'int4'"):
        load(quantize="int4")
