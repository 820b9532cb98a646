"""The estimate of a model's memory, beside the tensors that a stream really holds."""

import json

from streams import noise_frames, query, real_model, session, smallest
import torch

from virst_model.bench.__main__ import main
from virst_model.bench.footprint import LiveBytes, footprint
from virst_model.config import full
from virst_model.stream.options import SessionOptions

MIB = 2**20


def test_what_lives_is_counted_and_what_is_gone_is_not():
    with LiveBytes() as live:
        a = torch.ones(1000)  # 4000 bytes
        b = a[10:].view(-1, 2)  # the same memory
        (a + 1).sum()
        c = b * 2
    assert live.now == 4000 + 3960
    assert live.peak == 4000 + max(4000 + 4, 3960)
    del a
    assert live.now == 4000 + 3960  # a view holds it
    del b, c
    assert live.now == 0


def test_the_estimate_is_what_a_stream_holds():
    """Of a real stream: its work and its memories, but nothing of attention, which a GPU fuses."""
    options = {"window_size": 16, "reground_every": 4, "max_queries": 2}
    model = real_model(smallest())
    held = []
    with LiveBytes() as live, session(model, **options) as stream:
        stream.set_queries((query(1, "red circle"), query(2, "blue square")))
        for t, image in enumerate(noise_frames(60)):
            stream.step(image, float(t))
            held.append(live.now)

    found = footprint(
        model.config, torch.float32, 2, options=SessionOptions(window_size=16, reground_every=4)
    )

    kept = (found["window"] + found["queries"]) * MIB
    work = max(found["frame"], found["grounding"]) * MIB  # one after the other
    assert 0.85 * kept < max(held[30:]) < 1.15 * kept
    assert 0.85 * (kept + work) < live.peak < 1.15 * (kept + work)


def test_the_7b_model_with_four_queries_and_its_graphs_takes_less_than_20_gb():
    found = footprint(full(), torch.bfloat16, 4, graphs=True)

    assert found["weights"] * MIB > 2 * 8.2e9
    assert all(value > 1 for value in found.values())
    assert found["all"] == sum(value for name, value in found.items() if name != "all")
    assert found["all"] * MIB < 20e9
    small = footprint(full(), torch.bfloat16, 4, quantized="int8")
    assert 6.4e9 < (found["weights"] - small["weights"]) * MIB < 6.6e9  # a byte of each weight


def test_the_program_prints_the_estimate_as_one_and_makes_nothing(tmp_path, capsys):
    path = tmp_path / "estimate.json"

    assert main(["--estimate", "--preset", "7b", "--queries", "1,4", "--json", str(path)]) == 0

    printed = capsys.readouterr().out
    assert printed.startswith("Estimate: tensors counted, nothing measured. 7b bfloat16")
    assert "| weights | 15646 | 15646 |" in printed
    found = json.loads(path.read_text())["estimate_mib"]
    assert found["4"]["all"] > found["1"]["all"] > 16000
