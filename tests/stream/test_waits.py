"""How often the host waits for the device in a frame, with one query and with many."""

import numpy as np
import pytest
from streams import noise_frames, query, real_model, session, smallest
import torch

from virst_model.answer import TRACKING
from virst_model.bench.waits import HostWaits
from virst_model.stream import compose, grounder, host
from virst_model.stream.host import to_host

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "look",
    [
        *(lambda x: x.sum().item(), lambda x: x.cpu(), lambda x: x.numpy(), lambda x: x.tolist()),
        *(lambda x: np.asarray(x), lambda x: bool(x[0] > 0), lambda x: int(x[0])),
        *(lambda x: float(x[0]), lambda x: x.nonzero(), lambda x: x[x > 0]),
        *(lambda x: torch.tensor([1.0, 2.0]), lambda x: x[[0, 1]], lambda x: torch.equal(x, x)),
        *(lambda x: x.masked_select(x > 0), lambda x: x.index_put_((x > 0,), x.sum())),
        *(lambda x: x.to("cpu"), lambda x: x.to(device="cpu"), lambda x: x.new_tensor([1.0])),
        lambda x: x.repeat_interleave(torch.ones(3, dtype=torch.long)),
        lambda x: to_host([x, x > 0]),
    ],
)
def test_each_look_is_counted_once(look):
    x = torch.arange(3.0)
    with HostWaits(CPU) as waits:
        look(x)
    assert len(waits.names) == 1, waits.names


def test_work_without_a_look_is_none():
    x = torch.arange(3.0)
    with HostWaits(CPU) as waits:
        y = x[None, :2] @ x[:2] + x[torch.argmax(x)[None]] + torch.full((1,), 3.0)
        torch.stack([y, y]).to(torch.float64).expand(2, 1).contiguous()
    assert waits.names == []


def test_values_arrive_in_their_shapes():
    flags, numbers = to_host([torch.tensor([True, False]), torch.arange(6).view(2, 3)])
    assert flags.tolist() == [1, 0] and numbers.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert to_host([]) == []


@pytest.mark.parametrize(
    ("queries", "reground"), [(1, "periodic"), (16, "periodic"), (1, "on_change")]
)
def test_a_tracked_frame_waits_once_and_one_that_takes_an_answer_twice(
    queries, reground, monkeypatch
):
    model, ground = real_model(smallest()), grounder.ground
    waits = HostWaits(model.device)

    def aside(*arguments):
        before = len(waits.names)
        try:
            return ground(*arguments)
        finally:
            del waits.names[before:]  # another thread's, outside of sync mode

    monkeypatch.setattr(grounder, "ground", aside)
    tracked, taken = [], []
    options = {"window_size": 16, "reground_every": 8, "reground": reground}
    with session(model, grounding_delay_frames=1, **options) as stream:
        stream.set_queries(tuple(query(i, f"red circle {i}") for i in range(1, queries + 1)))
        for t, image in enumerate(noise_frames(60)):
            before = stream.stats()["groundings"]
            waiting = any(track.takes_in for track in stream.tracks)
            waits.names.clear()
            with waits:
                result = stream.step(image, float(t))
            takes = waiting or stream.stats()["groundings"] > before
            if all(answer.state == TRACKING for answer in result.results):
                (taken if takes else tracked).append(tuple(waits.names))

    assert len(tracked) > 10 and set(tracked) == {("numpy",)}
    assert len(taken) > 10 and set(taken) == {("numpy", "numpy")}


def test_masks_leave_before_their_memory_is_made_and_are_waited_for_after_it(monkeypatch):
    model, order = real_model(smallest()), []

    class Watched(host.Leaving):
        def __init__(self, tensors):
            order.append("leave")
            super().__init__(tensors)

        def arrive(self):
            order.append("arrive")
            return super().arrive()

    def encodes(features, decoded):
        order.append("memory")
        return encode_memory(features, decoded)

    encode_memory = model.segmenter.encode_memory
    monkeypatch.setattr(compose, "Leaving", Watched)
    monkeypatch.setattr(model.segmenter, "encode_memory", encodes)
    with session(model, reground_every=64) as stream:
        stream.set_queries((query(1), query(2)))
        for t, image in enumerate(noise_frames(24)):
            order.clear()
            result = stream.step(image, t / 15)

    assert all(answer.state == TRACKING for answer in result.results)
    assert order == ["leave", "memory", "arrive"]
