"""What is asked of CUDA, noted by stand-ins: what a GPU makes of it is not seen here."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from virst_model.stream.captured import WARM_UPS, CudaRecorder
from virst_model.stream.lanes import CudaLane, lanes_of

CUDA = torch.device("cuda", 0)


class Stream:
    """Notes what waits for what."""

    def __init__(self, notes, name, priority=0):
        self.notes, self.name, self.priority = notes, name, priority

    def wait_stream(self, other):
        self.notes.append((self.name, "waits for", other.name))

    def wait_event(self, event):
        self.notes.append((self.name, "waits for", event))


@pytest.fixture
def notes():
    return []


@pytest.fixture(autouse=True)
def cuda(monkeypatch, notes):
    """torch.cuda without CUDA; `current` is the stream of the caller."""
    made = SimpleNamespace(streams=[], events=[], current=Stream(notes, "current"))

    def stream(device=None, priority=0):
        made.streams.append(Stream(notes, f"stream {len(made.streams)}", priority))
        return made.streams[-1]

    class Event:
        def __init__(self, blocking=False):
            self.blocking = blocking
            made.events.append(self)

        def record(self, stream):
            notes.append((stream.name, "records", self))

    @contextmanager
    def graph(graph, **settings):
        notes.append(("capture begins", settings))
        yield
        notes.append(("capture ends",))

    @contextmanager
    def inside(stream):
        notes.append(("into", getattr(stream, "name", stream)))
        yield

    replaced = {
        "Stream": stream,
        "Event": Event,
        "stream": inside,
        "device": inside,
        "graph": graph,
        "CUDAGraph": lambda: SimpleNamespace(replay="replay"),
        "graph_pool_handle": lambda: "the pool",
        "current_stream": lambda device: made.current,
        "synchronize": lambda device: notes.append(("synchronize", device)),
    }
    for name, value in replaced.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return made


def test_the_tracker_goes_before_the_grounder(cuda, notes):
    lanes_of(CUDA)

    tracker, grounder = cuda.streams
    assert tracker.priority < grounder.priority  # of CUDA: less goes first
    assert notes == [("synchronize", CUDA)]  # once, before anything is asked


def test_a_lane_waits_for_a_mark_without_the_host(cuda, notes):
    one, other = CudaLane(CUDA, -1), CudaLane(CUDA, 0)

    mark = one.mark()
    other.follow(mark)

    assert mark.blocking  # who does wait for it sleeps
    assert notes == [("stream 0", "records", mark), ("stream 1", "waits for", mark)]


def test_a_lane_keeps_what_another_made(cuda, notes):
    lane = CudaLane(CUDA, -1)
    tensor = SimpleNamespace(record_stream=lambda stream: notes.append(("kept", stream.name)))

    lane.keep([tensor, tensor])

    assert notes == [("kept", "stream 0")] * 2


def test_a_recording_is_warmed_up_aside_and_leaves_other_threads_alone(cuda, notes):
    recorder, calls = CudaRecorder(CUDA), []

    for _ in range(2):
        answers, again = recorder.record(lambda: calls.append(len(notes)) or ("answer",))

    assert answers == ("answer",) and again == "replay"
    assert len(calls) == 2 * (WARM_UPS + 1)
    captures = [note[1] for note in notes if note[0] == "capture begins"]
    assert [settings["capture_error_mode"] for settings in captures] == ["thread_local"] * 2
    assert [settings["pool"] for settings in captures] == ["the pool"] * 2  # one for all
    assert {settings["stream"].name for settings in captures} == {"stream 0"}
    begins = next(i for i, note in enumerate(notes) if note[0] == "capture begins")
    waits = [note for note in notes[:begins] if "waits for" in note]
    assert waits == [("stream 0", "waits for", "current"), ("current", "waits for", "stream 0")]
    assert all(calls[i] < begins for i in range(WARM_UPS)) and calls[WARM_UPS] > begins


def test_what_was_recorded_is_used_by_one_stream_after_the_other(cuda, notes):
    recorder = CudaRecorder(CUDA)
    (used,) = cuda.events

    with recorder.turn():
        notes.append("replayed")
    with pytest.raises(MemoryError), recorder.turn():
        raise MemoryError("no room for the answers")

    ours = [note for note in notes if note[0] == "current" or note == "replayed"]
    assert ours == [
        ("current", "waits for", used),
        "replayed",
        ("current", "records", used),
        ("current", "waits for", used),
        ("current", "records", used),
    ]
