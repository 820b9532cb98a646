"""By torch or by ONNX Runtime, the masks are the same; graphs are made once and kept whole."""

import logging

import numpy as np
import pytest
from streams import noise_frames, query, real_model, run, session, smallest
import torch

from virst_model.answer import Query
from virst_model.checkpoints.load import load
from virst_model.evaluate.film import Film, follow
from virst_model.evaluate.metrics import region
from virst_model.evaluate.synthetic import SyntheticRun, evaluate
from virst_model.model.features import ABSENT_LOGIT, FrameFeatures, MemoryRead
from virst_model.stream import export, graphs
from virst_model.stream.engine import PARTS, ROWS, SHARED, EngineError, engine_of, use_engine
from virst_model.stream.graphs import GraphCache
from virst_model.stream.options import SessionOptions
from virst_model.stream.session import Session
from virst_model.synthetic.scenes import demo_scene

OURS = ("virst_model.stream.engine", "virst_model.stream.graphs")
QUERIES = ("the red circle", "the blue square")
SEEN = Query(1, QUERIES[0], 1)


@pytest.fixture
def runtime():
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    pytest.importorskip("onnx", reason="needs onnx, to make graphs")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A cache that the tests of this file share."""
    return GraphCache(tmp_path_factory.mktemp("graphs"))


@pytest.fixture
def cache(tmp_path):
    """An empty one, in a folder that is not there yet."""
    return GraphCache(tmp_path / "new" / "graphs")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def film(frames=16, size=(120, 160)):
    return Film(demo_scene().render, frames=frames, fps=10, size=size)


def lines_in(caplog, level=logging.WARNING):
    found = [r for r in caplog.records if r.name in OURS and r.levelno >= level]
    return [record.getMessage() for record in found]


def frame_of(model, seed=0):
    """Features of a frame, and prompts for it."""
    numbers = torch.Generator().manual_seed(seed)
    sizes = model.config.segmenter
    pixels = torch.randn(1, 3, sizes.side, sizes.side, generator=numbers)
    prompts = torch.randn(1, 10, sizes.dim, generator=numbers)
    with torch.inference_mode():
        return model.segmenter.encode(pixels), prompts


def read_of(model, queries, alpha, seed=0):
    """What so many queries read, with holes among their slots."""
    numbers = torch.Generator().manual_seed(seed)
    sizes = model.config.segmenter
    slots, pointers = alpha + sizes.num_maskmem - 1, alpha + 15
    valid = torch.rand(queries, slots, generator=numbers) > 0.3
    pointer_valid = torch.rand(queries, pointers, generator=numbers) > 0.3
    valid[:, 0] = True  # an anchor is always there
    maps = torch.randn(queries, slots, sizes.grid**2, sizes.memory_dim, generator=numbers)
    return MemoryRead(
        maps * valid[..., None, None],
        valid,
        torch.randn(queries, pointers, sizes.dim, generator=numbers),
        pointer_valid,
        torch.rand(queries, pointers, generator=numbers),
    )


@torch.inference_mode()
def decoded_and_kept(model, read):
    features, _ = frame_of(model)
    decoded = model.segmenter.decode_tracked(features, read)
    return decoded, model.segmenter.encode_memory(features, decoded)


def assert_close(found, expected):
    for name, value in vars(expected).items():
        assert torch.allclose(getattr(found, name), value, atol=1e-3, rtol=1e-4), name


def assert_same_masks(found, expected):
    for mask, truth in zip(found, expected, strict=True):
        assert np.count_nonzero(truth) > 100
        assert region(truth, mask).mean() >= 0.999


@pytest.mark.slow
def test_masks_are_those_of_torch(runtime, kept, caplog):
    expected = follow(load(), film(), QUERIES, delay=1).masks

    model = use_engine(load(), "onnx", kept)
    masks = follow(model, film(), QUERIES, delay=1).masks

    assert engine_of(model) == "onnx" and not lines_in(caplog)
    assert_same_masks(masks, expected)


@pytest.mark.slow
def test_scores_of_streams_are_those_of_torch_to_a_tenth(runtime, kept):
    run = SyntheticRun(videos=4, frames=24, height=120, width=160)

    by_torch, by_onnx = (
        evaluate(model, run) for model in (load(), use_engine(load(), "onnx", kept))
    )

    found, expected = (each["rows"]["overall"]["J&F"] for each in (by_onnx, by_torch))
    assert expected > 50 and abs(found - expected) <= 0.1


@pytest.mark.slow
def test_a_change_of_the_images_size_changes_nothing_of_it(runtime, kept):
    def follow_both(model):
        found = []
        with Session(model, SessionOptions(sync=True, window_period_s=0.0)) as stream:
            stream.set_queries((SEEN,))
            for part in (film(8, (120, 160)), film(8, (90, 200))):
                for image, time_s in zip(part.images, part.times, strict=True):
                    found.append(stream.step(image, 10 * (len(found) >= 8) + time_s))
        return [np.stack([r.results[0].mask_HW for r in found[i : i + 8]]) for i in (0, 8)]

    expected = follow_both(load())
    assert_same_masks(follow_both(use_engine(load(), "onnx", kept)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_any_number_of_threads_gives_the_masks(runtime, kept, threads, count):
    threads(1)
    expected = follow(load(), film(8), QUERIES, delay=0).masks
    threads(count)

    masks = follow(use_engine(load(), "onnx", kept), film(8), QUERIES, delay=0).masks

    assert_same_masks(masks, expected)


@pytest.mark.parametrize("queries", [1, 4, 16])
def test_any_number_of_queries_reads_its_memory(runtime, kept, queries):
    plain, model = load(), use_engine(load(), "onnx", kept)
    read = read_of(model, queries, alpha=3)

    for found, expected in zip(decoded_and_kept(model, read), decoded_and_kept(plain, read)):
        assert_close(found, expected)

    assert engine_of(model) == "onnx"


@pytest.mark.parametrize("alpha", range(1, 9))
def test_any_number_of_anchors_is_read(runtime, kept, alpha):
    plain = real_model(smallest())
    model = use_engine(real_model(smallest()), "onnx", kept)
    read = read_of(model, 2, alpha)

    for found, expected in zip(decoded_and_kept(model, read), decoded_and_kept(plain, read)):
        assert_close(found, expected)


def test_many_queries_are_run_as_few_batches_and_keep_their_order(runtime, kept):
    model = use_engine(real_model(smallest()), "onnx", kept)
    read = read_of(model, 6, alpha=3)
    tensors = [tensor for tensor in vars(read).values() if torch.is_tensor(tensor)]

    whole = decoded_and_kept(model, read)

    for rows in (slice(0, 4), slice(4, 5), slice(5, 6)):
        part = decoded_and_kept(model, MemoryRead(*(tensor[rows] for tensor in tensors)))
        for among, own in zip(whole, part, strict=True):
            for name, value in vars(own).items():
                assert torch.equal(getattr(among, name)[rows], value), name


def test_a_query_that_comes_later_finds_its_graph(runtime, cache, monkeypatch):
    model = rehearsed(cache)
    monkeypatch.setattr(graphs, "export", None)  # nothing is to be made in mid-stream

    for queries in (1, 2, 4, 5):
        decoded_and_kept(model, read_of(model, queries, alpha=3))

    assert engine_of(model) == "onnx"


def test_the_same_stream_gives_the_same_bits(runtime, kept):
    def masks():
        model = use_engine(real_model(smallest()), "onnx", kept)
        with session(model) as stream:
            stream.set_queries((query(1), query(2)))
            return [
                answer.mask_HW
                for result in run(stream, noise_frames(12))
                for answer in result.results
            ]

    once, again = masks(), masks()
    assert any(mask.any() for mask in once)
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))


def test_frames_of_several_are_encoded_and_decoded_one_by_one(runtime, kept):
    plain = real_model(smallest())
    model = use_engine(real_model(smallest()), "onnx", kept)
    side = model.config.segmenter.side
    pixels = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    prompts = torch.randn(3, 10, model.config.segmenter.dim)
    with torch.inference_mode():
        features = plain.segmenter.encode(pixels)
        assert_close(model.segmenter.encode(pixels), features)
        decoded = plain.segmenter.decode_prompted(features, prompts)
        assert_close(model.segmenter.decode_prompted(features, prompts), decoded)
        entry = plain.segmenter.encode_memory(features, decoded)
        assert_close(model.segmenter.encode_memory(features, decoded), entry)


def test_an_absent_object_leaves_the_same_memory(runtime, kept):
    plain = real_model(smallest())
    model = use_engine(real_model(smallest()), "onnx", kept)
    for each in (plain, model):
        head = each.segmenter.sam_mask_decoder.pred_obj_score_head.layers[-1]
        torch.nn.init.constant_(head.bias, -5.0)  # before any graph is made
    read = read_of(model, 2, alpha=3)

    decoded, entry = decoded_and_kept(model, read)

    assert (decoded.logits == ABSENT_LOGIT).all() and (decoded.raw_logits != ABSENT_LOGIT).all()
    assert_close(entry, decoded_and_kept(plain, read)[1])


def test_an_earlier_mask_of_the_same_frame_is_taken_by_torch(runtime, kept):
    plain = real_model(smallest())
    model = use_engine(real_model(smallest()), "onnx", kept)
    features, prompts = frame_of(plain)
    earlier = torch.randn(1, 4 * plain.config.segmenter.grid, 4 * plain.config.segmenter.grid)
    with torch.inference_mode():
        found = model.segmenter.decode_prompted(features, prompts, earlier)
        expected = plain.segmenter.decode_prompted(features, prompts, earlier)
    assert torch.equal(found.logits, expected.logits)


def test_a_wrong_argument_is_no_reason_to_give_up(runtime, kept, caplog):
    model = use_engine(real_model(smallest()), "auto", kept)

    with pytest.raises(ValueError, match="image side"):
        model.segmenter.encode(torch.zeros(1, 3, 16, 16))

    assert engine_of(model) == "onnx" and not lines_in(caplog)


# The cache.


def rehearsed(cache, model=None, engine="onnx", alphas=(3,)):
    model = use_engine(model or real_model(smallest()), engine, cache)
    export.export_graphs(model, alphas)
    return model


def test_graphs_are_made_once_and_kept_whole(runtime, cache, monkeypatch):
    rehearsed(cache)
    files = sorted(path.name for path in cache.folder.iterdir())
    assert len(files) == len(PARTS) + len(SHARED) * (len(ROWS) - 1)
    assert all(name.endswith(".onnx") for name in files)

    monkeypatch.setattr(graphs, "export", None)  # nothing is to be made
    rehearsed(cache)

    assert sorted(path.name for path in cache.folder.iterdir()) == files


@pytest.mark.parametrize("harm", ["cut", "changed", "empty"])
def test_a_damaged_file_is_made_anew(runtime, cache, harm):
    rehearsed(cache)
    path = min(cache.folder.glob("encode-*"))
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(
        {"cut": whole[:half], "changed": whole[:half] + b"x" + whole[half + 1 :], "empty": b""}[
            harm
        ]
    )

    model = rehearsed(cache)

    assert engine_of(model) == "onnx"
    (made,) = cache.folder.glob("encode-*")
    assert cache.find(made.stem.rpartition("-")[0]) is not None


def test_bytes_that_are_no_graph_are_made_anew(runtime, cache):
    rehearsed(cache)
    (path,) = cache.folder.glob("encode-*")
    name = path.stem.rpartition("-")[0]
    path.unlink()
    cache.keep(name, b"whole, and of another program")

    assert engine_of(rehearsed(cache)) == "onnx"


def test_other_weights_have_other_graphs(runtime, cache):
    rehearsed(cache)
    other = real_model(smallest())
    with torch.no_grad():
        other.segmenter.no_mem_embed += 1.0
        expected = other.segmenter.decode_prompted(*frame_of(other))

    use_engine(other, "onnx", cache)

    assert_close(other.segmenter.decode_prompted(*frame_of(other)), expected)


def test_a_folder_that_cannot_be_written_costs_a_line_and_no_mask(runtime, tmp_path, caplog):
    (tmp_path / "file").touch()

    model = rehearsed(GraphCache(tmp_path / "file"))

    assert engine_of(model) == "onnx"
    (line,) = lines_in(caplog)
    assert "graphs cannot be kept in" in line


def test_the_cache_lies_where_the_system_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert GraphCache().folder == tmp_path / "virst" / "graphs"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(GraphCache().folder) == "/home/somebody/.cache/virst/graphs"


def test_the_program_makes_what_the_node_takes(runtime, monkeypatch, tmp_path, weights, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert export.main(["--model", str(weights), "--device", "cpu", "--alpha", "1", "3"]) == 0

    assert str(GraphCache().folder) in capsys.readouterr().out
    monkeypatch.setattr(graphs, "export", None)  # nothing is to be made
    for alpha in (1, 3):
        with session(use_engine(load(weights), "onnx"), alpha=alpha) as stream:
            stream.warm_up(*noise_frames(1)[0].shape[:2])


# Where it cannot run.


def test_auto_is_torch_where_the_package_is_not_installed(monkeypatch, caplog):
    monkeypatch.setattr(graphs, "installed", lambda: None)
    with caplog.at_level(logging.INFO):
        model = use_engine(real_model(smallest()), "auto")

    (line,) = lines_in(caplog, logging.INFO)
    assert "onnxruntime is not installed" in line and "virst_ros[onnx]" in line
    assert engine_of(model) == "torch"
    with pytest.raises(EngineError, match="engine onnx: the package onnxruntime"):
        use_engine(model, "onnx")


def test_auto_is_torch_for_other_numbers_than_float32(monkeypatch, caplog):
    monkeypatch.setattr(graphs, "installed", lambda: graphs)
    model = real_model(smallest()).bfloat16()
    with caplog.at_level(logging.INFO):
        assert engine_of(use_engine(model, "auto")) == "torch"

    assert "bfloat16 on cpu" in lines_in(caplog, logging.INFO)[0]
    with pytest.raises(EngineError, match="runs float32 on a CPU, and the model is bfloat16"):
        use_engine(model, "onnx")


def test_what_cannot_be_made_goes_on_with_torch_and_says_so_once(monkeypatch, cache, caplog):
    def broken(module, inputs):
        raise RuntimeError("no such\noperator")

    monkeypatch.setattr(graphs, "installed", lambda: graphs)
    monkeypatch.setattr(graphs, "export", broken)
    plain = real_model(smallest())

    model = rehearsed(cache, engine="auto")

    (line,) = lines_in(caplog)
    assert "encode cannot be run by onnxruntime, torch goes on: no such operator" in line
    assert engine_of(model) == "torch"
    found, expected = frame_of(model)[0], frame_of(plain)[0]
    assert isinstance(found, FrameFeatures) and torch.equal(found.s2, expected.s2)


def test_an_engine_that_was_asked_for_and_fails_is_an_error(monkeypatch, cache):
    def broken(module, inputs):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(graphs, "installed", lambda: graphs)
    monkeypatch.setattr(graphs, "export", broken)
    with pytest.raises(EngineError, match=r"engine onnx: encode cannot be run \(no such operator"):
        rehearsed(cache)


def test_torch_again_is_as_before(runtime, kept):
    model = use_engine(real_model(smallest()), "onnx", kept)
    assert all(name in vars(model.segmenter) for name in PARTS)
    use_engine(model, "torch")
    assert not any(name in vars(model.segmenter) for name in PARTS)


def test_there_is_no_other_engine():
    with pytest.raises(ValueError, match="one of auto, torch, onnx, graphs, not 'tpu'"):
        use_engine(real_model(smallest()), "tpu")
