"""The bench runs at minimum length; its structure is looked at, never its times."""

import json
from pathlib import Path
import re
import subprocess
import time
from types import SimpleNamespace

import numpy as np
import pytest
from streams import packaged_with, real_model, smallest
import torch

from virst_model.bench import __main__ as program
from virst_model.bench import answering, growth, measure, pace, peer
from virst_model.bench.__main__ import main, random_model
from virst_model.bench.engines import cpu_ms
from virst_model.bench.measure import Load, parts, streaming
from virst_model.bench.parts import Stopwatch, listening
from virst_model.bench.start import start_cpu_s
from virst_model.checkpoints.load import load
from virst_model.errors import UsageError
from virst_model.evaluate.metrics import region
from virst_model.model.machine import attention_flop, peak_mib, reset_peak, share_of_peak, work
from virst_model.stream.engine import engine_of, use_engine
from virst_model.stream.options import SessionOptions
from virst_model.synthetic.scenes import demo_scene

PARTS = {
    "preprocess",
    "image encoder",
    "clip encoder",
    "LLM",
    "fusion",
    "memory attention",
    "decoder",
    "memory encoder",
    "postprocess",
    "the rest",
}


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small(monkeypatch):
    """The preset tiny, and the packaged model, at the least size: each figure takes a stream."""
    monkeypatch.setitem(program.PRESETS, "tiny", smallest)
    monkeypatch.setattr(program, "load_model", lambda *_: real_model(smallest()))


def test_the_program_writes_what_it_prints(small, tmp_path, capsys, monkeypatch):
    path = tmp_path / "bench.json"
    begun = []
    monkeypatch.setattr(program, "reset_peak", begun.append)

    given = ["--frames", "8", "--queries", "1,2", "--rounds", "0", "--engine", "torch"]
    assert main([*given, "--json", str(path)]) == 0

    found = json.loads(path.read_text())
    for numbers in found["queries"].values():
        assert 0 < numbers["frame_ms p50"] <= numbers["frame_ms p99"]
        assert numbers["frame_ms p99 beside groundings"] > 0
        assert numbers["masks_percent while it answers"] > 0 and "tokens_per_s" in numbers
        assert 0 < numbers["fps while it answers"] <= 16  # the camera's, and one frame more
        assert numbers["waits"] == 1 and numbers["launches"] == 0  # of a CPU
        assert numbers["max_fps"] > 0 and numbers["offline_fps"] > 0
        assert numbers["tracked_percent"] == 100  # what is measured is tracking
        assert numbers["peak_mib"] > 1
        assert 0 <= numbers["dropped"] <= 8
        assert set(numbers["parts"]) == PARTS
        assert numbers["parts"]["image encoder"]["calls a frame"] == 1  # encoded once
    assert len(begun) == 2  # each count has a peak of its own
    assert found["memory"]["weights_mib"] > 1 and found["gflop"]["frame"] > 0
    assert found["start_cpu_s"]["virst --help"] > 0
    assert found["estimate_mib"]["2"]["queries"] == 2 * found["estimate_mib"]["1"]["queries"] > 0
    said = capsys.readouterr().out
    assert "max_fps" in said and "memory attention" in said


def test_a_profile_is_a_trace_and_a_table(small, tmp_path, capsys):
    trace, path = tmp_path / "trace.json", tmp_path / "profile.json"

    given = ["--random-weights", "--frames", "2", "--queries", "1,2", "--profile", str(trace)]
    assert main([*given, "--json", str(path)]) == 0

    found = json.loads(path.read_text())["profile"]
    for count, of_count in found.items():
        events = json.loads((tmp_path / f"trace_{count}.json").read_text())["traceEvents"]
        assert any(event.get("name") == "aten::convolution" for event in events)
        assert of_count["operators"]["aten::convolution"]["calls a frame"] > 1
        assert of_count["waits a frame"] == {"numpy": 1.0}  # each frame was only tracked
    said = capsys.readouterr().out
    assert "| aten::" in said and "waits of the host a frame: numpy 1.00" in said


def test_frames_alone_have_no_grounding_beside_them(monkeypatch):
    """Those that are asked while the window fills are over before the first frame is timed."""
    model, asked = real_model(smallest()), []
    ground = model.ground
    clock = SimpleNamespace(perf_counter=lambda: asked.append("timed") or time.perf_counter())
    monkeypatch.setattr(model, "ground", lambda *a, **b: asked.append("asked") or ground(*a, **b))
    monkeypatch.setattr(pace, "time", clock)

    found = pace.pace(model, Load(48, 64, frames=12, queries=2))

    first = asked.index("timed")
    alone = asked[first : first + 24]
    assert "asked" in asked[:first] and set(alone) == {"timed"}
    assert found["groundings"] > 0 and found["waits"] == 1


def test_answers_go_on_whatever_the_weights_say_and_were_taught():
    model, spoken = real_model(smallest()), []
    assert not model.config.answers
    speak = model.vlm.speak
    model.vlm.speak = lambda embeds: spoken.append(embeds.shape) or speak(embeds)

    found = answering.answering(model, Load(48, 64, frames=2 * answering.TURN))

    assert found["tokens_per_s"] > 0 and found["max_fps while it answers"] > 0
    assert len(spoken) >= 3  # one a turn, and one at the camera's rate
    with answering.endless(model):
        logits = model.vlm.logits(torch.zeros(1, model.config.llm.hidden))
    ends = sorted(answering.end_ids(model.tokenizer))
    assert ends and logits[:, ends].isneginf().all()
    assert logits.isfinite().sum() == model.config.llm.vocab - len(ends)


def test_the_7b_model_is_measured_beside_the_released_behaviour_with_one_and_four(monkeypatch):
    said = []

    def measured(model, load, modes, counts, engine, rounds, released, keep):
        said.append((load.width, load.height, counts, modes, released, load.reground))
        raise UsageError("enough")

    monkeypatch.setattr(program, "bench", measured)
    monkeypatch.setattr(program, "random_model", lambda *_: real_model(smallest()))

    assert main(["--preset", "7b", "--random-weights"]) == 2
    assert main(["--random-weights", "--reground", "on_change"]) == 2

    both = ("streaming", "offline")
    assert said == [
        (1024, 1024, [1, 4], both, True, "periodic"),
        (640, 480, [1], both, False, "on_change"),
    ]


def test_the_released_behaviour_is_measured_as_torch_runs_it(monkeypatch):
    followed = []

    def streaming(model, load, options):
        followed.append((model.config.behaviour.name, engine_of(model), options.reground))
        return {"max_fps": 1.0}

    monkeypatch.setattr(measure, "streaming", streaming)
    monkeypatch.setattr(program, "pace", lambda *_: {})
    monkeypatch.setattr(program, "answering", lambda *_: {})
    monkeypatch.setattr(measure, "parts", lambda *_: {})
    model = real_model(smallest())

    load = Load(48, 64, reground="on_change")
    found = program.bench(model, load, ["streaming"], [1], "torch", released=True)

    assert found["queries"]["1"]["released: max_fps"] == 1.0
    assert followed == [("paper", "torch", "on_change"), ("released", "torch", "on_change")]
    assert model.config.behaviour.name == "paper"


def test_a_program_that_does_not_start_is_no_figure():
    assert start_cpu_s("--help") > 0
    with pytest.raises(subprocess.CalledProcessError):
        start_cpu_s("no verb")


def test_random_weights_of_a_preset_are_followed_too(small, tmp_path):
    path = tmp_path / "bench.json"
    arguments = ["--random-weights", "--frames", "4", "--mode", "streaming", "--rounds", "0"]

    assert main([*arguments, "--json", str(path)]) == 0

    found = json.loads(path.read_text())
    assert found["queries"]["1"]["tracked_percent"] == 100
    assert "offline_fps" not in found["queries"]["1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "7b"], "--random-weights"),
        (["--size", "640"], "--size: '640'"),
        (["--queries", "0,17"], "--queries: '0,17'"),
        (["--model", "/nowhere"], "/nowhere: no such folder"),
        (["--device", "cuda:99"], "--device cuda:99"),
    ],
)
def test_bad_options_are_one_line_and_exit_status_2(arguments, said, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_model_that_no_stream_can_follow_is_one_line(tmp_path, capsys):
    model = packaged_with(tmp_path, anchors="guided")
    assert main(["--model", str(model), "--mode", "streaming"]) == 2
    error = capsys.readouterr().err
    assert "a stream has no 'guided' anchors" in error and error.count("\n") == 1


def test_the_model_is_as_before_after_listening():
    model = real_model(smallest())
    with listening(model, Stopwatch(model.device)):
        assert "encode" in vars(model.segmenter)
    assert "encode" not in vars(model.segmenter) and "frame_pixels" not in vars(model)


def test_parts_of_a_frame_are_counted_once_a_frame():
    found = parts(real_model(smallest()), Load(48, 64, frames=6), SessionOptions(sync=True))
    assert set(found) == PARTS
    assert found["memory attention"]["calls a frame"] == pytest.approx(1, abs=0.4)  # anchors


def test_groundings_are_counted_at_the_cameras_rate():
    options = SessionOptions(window_size=8, window_period_s=1 / 30, reground_every=4)

    found = streaming(real_model(smallest()), Load(48, 64, frames=60, rate_hz=30.0), options)

    # Every fourth frame is the most, and the answer to a question from before.
    assert 0 < found["groundings a minute"] <= 16 * 30


def test_engines_and_the_peer_are_measured_by_turns():
    model = real_model(smallest())

    found = cpu_ms(model, Load(48, 64, queries=2), rounds=1)

    assert found.keys() >= {"torch", "sam2"} and all(ms > 0 for ms in found.values())
    assert ("onnx" in found) == (engine_of(use_engine(model, "auto")) == "onnx")


def test_the_peer_follows_its_objects_with_our_weights():
    images, ids = zip(*(demo_scene().render(t / 10, 120, 160) for t in range(4)), strict=True)
    wanted = demo_scene().answer("the red circle")
    truth = [np.isin(each, wanted) for each in ids]

    found = list(peer.track(peer.predictor(load()), images, [truth[0], ~truth[0]]))

    assert [index for index, _ in found] == [0, 1, 2, 3]
    for expected, (_, masks_QHW) in zip(truth, found, strict=True):
        assert masks_QHW.shape == (2, 120, 160)
        assert region(expected[None], masks_QHW[:1]).mean() > 0.7


def test_every_sweep_gives_points_and_a_plot(tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "MEASURED", 2)
    small = {name: (points[:2], change) for name, (points, change) in growth.sweeps(100).items()}
    monkeypatch.setattr(growth, "sweeps", lambda most: small)

    found = growth.measure(real_model(smallest()))
    units = {"window size": ", frames", "alpha": ", anchors", "image width": ", pixels"}

    assert set(found) == {"frames of the stream", "window size", "alpha", "queries", "image width"}
    for name, points in found.items():
        growth.plot(tmp_path / "plot.svg", name, points)
        drawn = (tmp_path / "plot.svg").read_text()
        assert drawn.count("<polyline") == 2
        said = re.findall(">([^<]+)</text>", drawn)
        assert {*map(str, small[name][0]), "0", "ms a frame", "ms a grounding"} <= {*said}
        assert said[-2:] == [name + units.get(name, ""), "ms"]  # along, and upwards


def test_the_share_of_the_peak_is_known_for_known_devices_only():
    assert share_of_peak("NVIDIA H200", 989.0, 0.001) == pytest.approx(100)
    assert share_of_peak("AMD EPYC", 1.0, 1.0) is None


def test_a_longer_window_is_more_work():
    model = real_model(smallest())
    assert work(model, 32)["grounding"] > work(model, 8)["grounding"]


def test_random_weights_are_the_same_each_time():
    one, other = (random_model("tiny", "cpu", torch.float32) for _ in range(2))
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_attention_is_counted_where_keys_have_fewer_heads():
    queries, keys, values = (2, 4, 10, 16), (2, 1, 30, 16), (2, 1, 30, 8)

    assert attention_flop(queries, keys, values) == 2 * 2 * 4 * 10 * 30 * (16 + 8)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_the_peak_of_memory_begins_anew():
    cpu = torch.device("cpu")
    held = bytearray(b"x") * (200 << 20)  # written, or it takes no memory
    high = peak_mib(cpu)
    del held

    reset_peak(cpu)

    assert 0 < peak_mib(cpu) < high - 100
