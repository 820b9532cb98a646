"""A GPU that is in sight takes nothing of a model that runs on the CPU."""

from collections.abc import Iterator
import json
import logging
import subprocess
import sys

import numpy as np
import pytest
from streams import smallest
import torch
from training import command, environment, smallest_weights

from virst_model.arguments import Parser
from virst_model.bench.__main__ import PRESETS
from virst_model.bench.__main__ import main as bench
from virst_model.checkpoints import device
from virst_model.checkpoints.device import DeviceError, choose_device
from virst_model.checkpoints.folder import WeightsError
from virst_model.checkpoints.load import TINY, build, empty, load
from virst_model.checkpoints.options import add_model_options, load_model
from virst_model.config import full
from virst_model.evaluate.film import Film, follow
from virst_model.evaluate.metrics import region
from virst_model.model.virst import Virst
from virst_model.synthetic.scenes import demo_scene

QUERIES = ("the red circle", "the blue square")
# Slower to run than to be told apart: a bfloat16 mask differs by a pixel here and there.
SAME_MASK = 0.95


@pytest.fixture(scope="module")
def film() -> Film:
    return Film(demo_scene().render, frames=16, fps=10, size=(120, 160))


@pytest.fixture
def gpu_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch says that there is a GPU; where it was built for the CPU, nothing on it computes."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def tensors(model: Virst) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor that a module holds: parameters, buffers, attributes, entries of caches."""
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            held = value if isinstance(value, dict) else {attribute: value}
            for key, one in held.items():
                if torch.is_tensor(one):
                    yield f"{name}.{key}", one


def elsewhere(model: Virst, device: str) -> list[str]:
    return [name for name, tensor in tensors(model) if tensor.device.type != device]


def test_nothing_of_a_model_on_the_cpu_lies_elsewhere(gpu_in_sight, film):
    model = load()
    follow(model, film, QUERIES, delay=1)  # which fills the caches

    assert len(list(tensors(model))) > 500
    assert elsewhere(model, "cpu") == []
    assert elsewhere(build(model.config, tokenizer=model.tokenizer), "cpu") == []


def test_the_paper_s_sizes_are_laid_out_without_a_gpu(gpu_in_sight):
    model = empty(full(), load().tokenizer)

    assert elsewhere(model, "meta") == ["._pixel_stats"]  # no file holds them


def test_a_gpu_in_sight_changes_no_bit_of_the_masks(film, monkeypatch):
    alone = follow(load(), film, QUERIES, delay=1)[0]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    beside = follow(load(), film, QUERIES, delay=1)[0]

    assert alone.any()
    np.testing.assert_array_equal(alone, beside)


@pytest.mark.parametrize("said", [["--device", "cpu"], []], ids=["cpu", "no device"])
def test_random_weights_are_measured_beside_a_gpu(gpu_in_sight, said, tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", smallest)
    path = tmp_path / "bench.json"
    short = ["--random-weights", "--frames", "4", "--mode", "streaming", "--rounds", "0"]

    assert bench([*short, "--json", str(path), *said]) == 0

    assert json.loads(path.read_text())["queries"]["1"]["max_fps"] > 0


def train_beside_a_gpu(tmp_path, **told):
    """`virst train` where torch says that there is a GPU; `told` is of the environment."""
    start = smallest_weights(tmp_path / "start")
    arguments = command("propagation", tmp_path / "out", start, steps=1)
    code = "import torch; torch.cuda.is_available = lambda: True; "
    code += f"from virst_model.train.__main__ import main; raise SystemExit(main({arguments!r}))"
    env = {name: x for name, x in environment().items() if name != "ACCELERATE_USE_CPU"} | told
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)


def test_training_that_is_told_to_use_the_cpu_uses_it_beside_a_gpu(tmp_path):
    ended = train_beside_a_gpu(tmp_path, ACCELERATE_USE_CPU="true")

    assert ended.returncode == 0, ended.stderr
    assert "the GPU cannot be used" not in ended.stderr
    assert (tmp_path / "out" / "weights" / "model.safetensors").exists()


@pytest.mark.skipif(torch.version.cuda is not None, reason="of a torch without CUDA")
def test_training_beside_a_gpu_that_cannot_be_used_says_so_and_uses_the_cpu(tmp_path):
    ended = train_beside_a_gpu(tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("the GPU cannot be used") == 1
    assert (tmp_path / "out" / "weights" / "model.safetensors").exists()


@pytest.mark.skipif(torch.version.cuda is not None, reason="of a torch without CUDA")
def test_one_of_several_trainings_whose_gpu_cannot_be_used_ends_in_one_line(tmp_path):
    ended = train_beside_a_gpu(tmp_path, LOCAL_RANK="0")

    assert ended.returncode == 2
    assert ended.stderr.startswith("error: device cuda:0: Torch not compiled with CUDA")
    assert ended.stderr.endswith("say cpu, which is ACCELERATE_USE_CPU=true\n")
    assert ended.stderr.count("\n") == 1


@pytest.mark.skipif(torch.version.cuda is not None, reason="of a torch without CUDA")
def test_a_gpu_that_cannot_be_used_is_named_and_the_cpu_stands_in(gpu_in_sight, caplog):
    with caplog.at_level(logging.WARNING):
        assert choose_device() == "cpu"

    assert "GPU cannot be used" in caplog.text and "Torch not compiled with CUDA" in caplog.text


@pytest.mark.parametrize("name", ["cuda:99", "xpu", "gpu", "meta"])
def test_a_device_that_was_asked_for_and_is_not_there_is_an_error_of_one_line(name):
    with pytest.raises(DeviceError, match=name) as caught:
        choose_device(name)

    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("named", [[], ["--device", "cuda:7"]], ids=["no device", "cuda:7"])
def test_a_device_is_tried_once_whether_it_is_named_or_not(gpu_in_sight, named, monkeypatch):
    tried: list[str] = []
    monkeypatch.setattr(device, "_fault", lambda name: tried.append(name) or "")
    parser = Parser()
    add_model_options(parser)

    with pytest.raises(WeightsError):  # which is found after the device
        load_model(parser.parse_args(["--model", "/nowhere", *named]))

    assert tried == [named[-1] if named else "cuda"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_real_gpu_takes_nothing_of_the_cpu_s_model_and_finds_the_same_masks(film):
    on_cpu = load(TINY, "cpu")
    ours = follow(on_cpu, film, QUERIES, delay=1)[0]
    assert elsewhere(on_cpu, "cpu") == []

    on_gpu = load(TINY, "cuda", torch.float32)
    theirs = follow(on_gpu, film, QUERIES, delay=1)[0]

    assert elsewhere(on_gpu, "cuda") == []
    for one, other in zip(ours, theirs, strict=True):
        both = one.any(axis=(1, 2)) | other.any(axis=(1, 2))
        assert both.sum() > 5 and region(one[both], other[both]).mean() > SAME_MASK


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_random_weights_are_measured_on_a_real_gpu(tmp_path):
    path = tmp_path / "bench.json"

    assert bench(["--random-weights", "--frames", "4", "--json", str(path)]) == 0

    assert json.loads(path.read_text())["memory"]["gpu_peak_mib"] > 0
