"""A stream on a real GPU: numbers, order, graphs, memory. Skipped where there is none."""

import gc

import numpy as np
from patience import tries
import pytest
from streams import noise_frames, query, real_model, session, smallest
import torch

from virst_model import Session, SessionOptions, load
from virst_model.answer import TRACKING
from virst_model.evaluate.film import Film, follow
from virst_model.evaluate.metrics import region
from virst_model.stream.engine import engine_of, use_engine
from virst_model.stream.grounder import Grounding, GroundingError, ThreadGrounder
from virst_model.stream.host import Leaving
from virst_model.stream.lanes import lanes_of
from virst_model.stream.window import Clip, WindowFrame
from virst_model.synthetic.scenes import demo_scene

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
QUERIES = ("the red circle", "the blue square", "the green triangle")
SLEEP = 500_000_000  # cycles of a GPU: some tenths of a second
MIB = 2**20


def on_gpu(config=None):
    return real_model(config or smallest()).to("cuda")


@pytest.fixture(scope="module")
def film():
    return Film(demo_scene().render, frames=24, fps=10, size=(120, 160))


def agreement(ours, theirs):
    """Mean IoU over the frames in which either has a mask."""
    both = ours.any(axis=(2, 3)) | theirs.any(axis=(2, 3))
    assert both.mean() > 0.3
    found = [region(a, b) for a, b in zip(ours, theirs, strict=True)]
    return np.stack(found)[both].mean()


def test_bfloat16_finds_the_masks_of_float32_on_a_cpu(film):
    expected = follow(load(device="cpu", dtype=torch.float32), film, QUERIES, delay=1).masks

    model = load(device="cuda")
    found = follow(model, film, QUERIES, delay=1).masks

    assert model.dtype == torch.bfloat16
    assert agreement(found, expected) > 0.9


def test_eight_bits_of_the_language_model_find_the_same_masks(film):
    expected = follow(load(device="cuda"), film, QUERIES, delay=1).masks
    found = follow(load(device="cuda", quantize="int8"), film, QUERIES, delay=1).masks
    assert agreement(found, expected) > 0.8


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("alpha", [3, 5])
def test_graphs_give_what_torch_gives(film, dtype, alpha):
    masks = {}
    for engine in ("torch", "graphs"):
        model = use_engine(load(device="cuda", dtype=dtype), engine)
        options = SessionOptions(sync=True, alpha=alpha, grounding_delay_frames=1, max_queries=4)
        seen = []
        with Session(model, options) as stream:
            stream.warm_up(120, 160)
            for t, image in enumerate(film.images):
                asked = QUERIES[: 1 + t // 8]  # one, two, three: padded to four
                stream.set_queries(tuple(query(i, text) for i, text in enumerate(asked, 1)))
                answers = stream.step(image, film.times[t]).results
                empty = np.zeros(image.shape[:2], bool)
                seen.append([a.mask_HW for a in answers] + [empty] * (3 - len(answers)))
        assert engine_of(model) == engine  # nothing has fallen back
        masks[engine] = np.array(seen).swapaxes(0, 1)

    assert agreement(masks["graphs"], masks["torch"]) > (0.999 if dtype == torch.float32 else 0.98)


def test_an_answer_is_read_when_the_device_has_it_and_frames_do_not_wait_for_it(monkeypatch):
    model, lanes = on_gpu(), lanes_of(torch.device("cuda"))
    ground = model.ground

    def slow(*arguments, **named):
        torch.cuda._sleep(SLEEP)  # the host goes on at once, the stream does not
        return ground(*arguments, **named)

    frames = [WindowFrame(t, float(t), image) for t, image in enumerate(noise_frames(8))]
    with torch.inference_mode(), lanes.tracker.working():
        for each in frames:
            each.encode(model)
        clips = (Clip(frames[:4]), Clip(frames[4:]))
        grounding = Grounding(query(1, "red circle"), clips)
        grounder = ThreadGrounder(model, 1, lanes)
        expected = [prompts.clone() for _, prompts in grounder.ground(grounding).anchors]
        monkeypatch.setattr(model, "ground", slow)
        grounder.start(grounding, 8)
        beside = 0
        for _ in tries(pause_s=0.001):
            finished = grounder.finished(8)
            if finished:
                break
            model.encode_frame(noise_frames(1)[0]).s2.sum().item()  # waits for the tracker's lane
            beside += 1
        ((_, read),) = finished
        result = read()
        grounder.close()

    assert beside > 2  # frames went on beside it; in one stream the first would wait for it
    assert result.ms > 50
    for (_, prompts), known in zip(result.anchors, expected, strict=True):
        torch.testing.assert_close(prompts, known, atol=1e-4, rtol=1e-4)


def test_what_leaves_is_there_before_the_work_that_was_asked_for_after_it():
    numbers = torch.arange(8.0, device="cuda")
    numbers.sum().item()  # the device is idle, and its library is loaded
    leaving = Leaving([numbers])
    torch.cuda._sleep(SLEEP)
    done = torch.cuda.Event()
    done.record()

    (values,) = leaving.arrive()

    assert values.tolist() == list(range(8)) and not done.query()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "graphs"])
def test_two_thousand_frames_take_no_more_memory_than_the_first(engine):
    model = use_engine(on_gpu(), engine)
    images = noise_frames(64)
    options = SessionOptions(window_size=16, window_period_s=0.0, max_queries=2)
    held = {}
    with Session(model, options) as stream:
        stream.warm_up(48, 64)
        stream.set_queries((query(1, "red circle"), query(2, "blue square")))
        for t in range(2000):
            stream.step(images[t % 64], float(t))
            if t in (400, 1999):
                gc.collect()
                torch.cuda.synchronize()
                held[t] = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
        assert stream.stats()["groundings"] > 100
    assert engine_of(model) == engine
    for first, last in zip(held[400], held[1999], strict=True):
        assert last <= first + 8 * MIB


def test_a_grounding_that_takes_all_memory_is_an_error_and_the_stream_goes_on(monkeypatch):
    model = on_gpu()
    ground, full = model.ground, []

    def greedy(*arguments, **named):
        if full:
            torch.empty(1 << 44, dtype=torch.uint8, device="cuda")  # 16 TiB
        return ground(*arguments, **named)

    monkeypatch.setattr(model, "ground", greedy)
    with session(model, sync=False, window_size=8, reground_every=4) as stream:
        stream.set_queries((query(1, "red circle"),))
        images = noise_frames(64)
        failed, tracked = 0, 0
        for t in tries(pause_s=0.002):
            try:
                result = stream.step(images[t % 64], float(t))
            except GroundingError as error:
                assert isinstance(error.__cause__, torch.OutOfMemoryError)
                failed += 1
                full.clear()
                continue
            if result.results[0].state == TRACKING:
                tracked += 1
                if failed == 0:
                    full[:] = [True]
                elif stream.stats()["groundings"] > failed + 1:
                    break
        assert failed == 1 and tracked > 2
        assert stream.step(images[0], 1e6).results[0].state == TRACKING
