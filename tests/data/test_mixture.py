"""Samples by number: what is drawn, how often, and the same every time."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
import itertools
import logging

import image_miniatures as miniatures
import miniatures as videos
import numpy as np
import pytest

from virst_model.data.catalogue import RVOS, SEMANTIC, VIDEO_QA
from virst_model.data.mixture import Component, Mixture, open_mixture
from virst_model.data.record import Expression, Record
from virst_model.data.sample import LOG_UNIFORM, SPACINGS, Sample
from virst_model.errors import FileError
from virst_model.synthetic.world import draw_world
from virst_model.train import synthetic
from virst_model.train.synthetic import SAMPLE_S, SyntheticSamples

SIZE = (12, 16)


def truth(time: int, row: int = 0) -> np.ndarray:
    """A pixel that moves to the right."""
    mask = np.zeros(SIZE, bool)
    mask[row, time % SIZE[1]] = True
    return mask


def make_video(
    folder, length: int = 40, name: str = "clip", *expressions: Expression, still: bool = False
) -> Record:
    """Frame t is grey t. Without `expressions`: "row 0" to "row 4", moving pixels."""
    paths = []
    for time in range(length):
        paths.append(folder / name / f"{time:05d}.png")
        miniatures.save_picture(paths[-1], SIZE, grey=time)
    rows = [Expression(str(r), f"row {r}", lambda t, r=r: truth(t, r)) for r in range(5)]
    return Record(name, tuple(paths), expressions or tuple(rows), still=still)


def mixture_of(*records: Record, category: str = RVOS, **options) -> Mixture:
    return Mixture([Component("set", category, records)], **options)


def fingerprint(sample: Sample) -> tuple:
    masks = None if sample.masks_QTHW is None else sample.masks_QTHW.tobytes()
    return sample.dataset, sample.record, sample.times, sample.texts, masks


def spans(mixture: Mixture, frames: int, draws: int = 200) -> list[int]:
    """With the spacing "log_uniform"."""
    times = [mixture.draw(number, frames, LOG_UNIFORM).times for number in range(draws)]
    return [last - first for first, *_, last in times]


def test_a_number_gives_the_same_sample_whenever_it_is_drawn(tmp_path):
    records = [make_video(tmp_path, name=name) for name in "abc"]
    forwards = [fingerprint(mixture_of(*records, seed=3).draw(n, 4)) for n in range(12)]
    again = mixture_of(*records, seed=3)
    backwards = [fingerprint(again.draw(n, 4)) for n in reversed(range(12))]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) > 6


def test_threads_draw_what_one_alone_draws(tmp_path):
    mixture = mixture_of(make_video(tmp_path), make_video(tmp_path, name="other"))
    alone = [fingerprint(mixture.draw(n, 8)) for n in range(16)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda n: fingerprint(mixture.draw(n, 8)), range(16))) == alone


def test_another_seed_gives_other_samples(tmp_path):
    record = make_video(tmp_path)
    rows = [[fingerprint(mixture_of(record, seed=s).draw(n, 4)) for n in range(5)] for s in (0, 1)]
    assert rows[0] != rows[1]


def test_masks_and_frames_are_those_of_the_times(tmp_path):
    sample = mixture_of(make_video(tmp_path)).draw(0, 8)
    for place, time in enumerate(sample.times):
        assert np.all(sample.frames_THW3[place] == time)
        for text, mask_THW in zip(sample.texts, sample.masks_QTHW):
            np.testing.assert_array_equal(mask_THW[place], truth(time, int(text[-1])))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("frames", [4, 8, 12, 16, 32])
def test_times_ascend_inside_the_video(tmp_path, frames, spacing):
    mixture = mixture_of(make_video(tmp_path, 40))
    for number in range(100):
        times = mixture.draw(number, frames, spacing).times
        assert len(times) == frames and times[0] >= 0 and times[-1] < 40
        assert np.all(np.diff(times) > 0)


@pytest.mark.parametrize(("length", "frames"), [(100, 8), (30, 4), (33, 32), (9, 8)])
def test_one_frame_is_drawn_from_each_of_as_many_equal_segments(tmp_path, length, frames):
    mixture = mixture_of(make_video(tmp_path, length))
    edges = np.linspace(0, length, frames + 1).astype(int)  # cut off, as in the release
    drawn = np.array([mixture.draw(number, frames).times for number in range(200)])
    assert np.all(edges[:-1] <= drawn) and np.all(drawn < edges[1:])
    for place, (start, stop) in enumerate(itertools.pairwise(edges)):
        assert set(drawn[:, place]) >= {start, stop - 1}  # all of a segment is drawn from


def test_of_a_scene_too_one_moment_is_drawn_from_each_of_as_many_equal_segments(monkeypatch):
    seconds: list[float] = []

    def watched(*given):
        world = draw_world(*given)
        render = world.render
        monkeypatch.setattr(
            type(world), "render", lambda self, t, *size: seconds.append(t) or render(t, *size)
        )
        return world

    monkeypatch.setattr(synthetic, "draw_world", watched)
    SyntheticSamples(seed=1, stories=0.0).draw(0, 8)
    edges = np.linspace(0, SAMPLE_S, 9)
    assert np.all(edges[:-1] <= seconds) and np.all(seconds < edges[1:])
    assert len(set(np.diff(seconds).round(6))) > 1  # by lot, not evenly spaced


def test_spacing_goes_from_one_frame_after_the_other_to_the_whole_video(tmp_path):
    drawn = spans(mixture_of(make_video(tmp_path, 60)), 4)
    assert min(drawn) == 3 and max(drawn) >= 57
    # Log-uniform: half of the spacings are below the root of the widest, 59 / 3.
    assert 0.35 < np.mean([span <= 3 * (59 / 3) ** 0.5 for span in drawn]) < 0.65


def test_a_short_video_repeats_its_last_frame(tmp_path):
    sample = mixture_of(make_video(tmp_path, 3)).draw(0, 8)
    assert sample.times == (0, 1, 2, 2, 2, 2, 2, 2)
    assert sample.masks_QTHW.shape == (3, 8, *SIZE)
    assert sample.modality == "video"


@pytest.mark.parametrize("spacing", SPACINGS)
def test_an_image_is_one_frame_however_many_are_asked(tmp_path, spacing):
    mixture = mixture_of(make_video(tmp_path, 1, still=True), category=SEMANTIC)
    sample = mixture.draw(0, 4, spacing)
    assert sample.times == (0,)
    assert len(sample.frames_THW3) == 1 and sample.masks_QTHW.shape == (3, 1, *SIZE)
    assert sample.modality == "image"


def test_a_video_of_one_frame_is_no_image(tmp_path):
    sample = mixture_of(make_video(tmp_path, 1)).draw(0, 4)
    assert (sample.times, sample.modality) == ((0, 0, 0, 0), "video")


def test_no_more_is_asked_than_wanted_and_nothing_twice(tmp_path):
    sample = mixture_of(make_video(tmp_path), sentences=4).draw(0, 4)
    assert len(set(sample.texts)) == 4


def test_questions_in_words_are_about_the_whole_video(tmp_path):
    asked = Expression("0", "How many?", answer="Two.")
    mixture = mixture_of(make_video(tmp_path, 20, "clip", asked), category=VIDEO_QA)
    sample = mixture.draw(0, 4)
    assert (sample.texts, sample.answers, sample.masks_QTHW) == (("How many?",), ("Two.",), None)
    assert set(spans(mixture, 4, draws=10)) == {19}


def test_a_sentence_about_an_event_is_asked_only_of_frames_around_it(tmp_path):
    late = Expression("0", "the last to stop", truth, decided=35)
    always = Expression("1", "the dot", truth)
    mixture = mixture_of(make_video(tmp_path, 40, "clip", late, always))
    seen = set()
    for number in range(100):
        sample = mixture.draw(number, 4)
        around = sample.times[0] <= 35 <= sample.times[-1]
        assert ("the last to stop" in sample.texts) == around
        seen.add(around)
    assert seen == {True, False}


def test_an_event_that_is_all_there_is_draws_the_whole_video(tmp_path):
    late = Expression("0", "the last to stop", truth, decided=35)
    mixture = mixture_of(make_video(tmp_path, 40, "clip", late))
    for number in range(30):
        times = mixture.draw(number, 4).times
        assert times[0] <= 35 <= times[-1]


def test_sentences_without_a_truth_are_not_drawn(tmp_path):
    secret = Expression("0", "test split")
    known = Expression("1", "row 0", truth)
    mixture = mixture_of(make_video(tmp_path, 5, "clip", secret, known))
    assert {mixture.draw(n, 4).texts for n in range(10)} == {("row 0",)}


def test_a_record_that_cannot_be_read_is_stood_in_for_and_counted(tmp_path, caplog):
    good, bad = make_video(tmp_path), make_video(tmp_path, name="bad")
    for path in bad.frames:
        path.write_bytes(b"no picture")
    mixture = mixture_of(good, bad)
    caplog.clear()
    assert {mixture.draw(n, 4).record for n in range(20)} == {"clip"}
    assert mixture.skipped.total() > 5 and len(mixture.skipped) == 1
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1


def test_a_mask_of_another_size_is_a_record_that_cannot_be_read(tmp_path):
    wrong = Expression("0", "dot", lambda t: np.zeros((3, 4), bool))
    mixture = mixture_of(make_video(tmp_path, 5, "bad", wrong), make_video(tmp_path))
    assert {mixture.draw(n, 4).record for n in range(10)} == {"clip"}


def test_where_nothing_can_be_read_the_last_error_is_raised(tmp_path):
    record = make_video(tmp_path, 2)
    for path in record.frames:
        path.unlink()
    with pytest.raises(FileError, match="No such file"):
        mixture_of(record).draw(0, 4)


def test_categories_have_the_weights_of_the_paper_and_rvos_sets_their_ratios(tmp_path):
    record = make_video(tmp_path, 1)
    ratios = {"mevis": 4000, "ref-youtube-vos": 15000, "ref-davis17": 400}
    sources = [Component(name, RVOS, [record], ratio) for name, ratio in ratios.items()]
    sources += [Component("ade20k", SEMANTIC, [record]), Component("paco", SEMANTIC, [record])]
    shares = Mixture(sources).shares
    rvos, semantic = 12 / 16, 4 / 16
    expected = [rvos * ratio / 19400 for ratio in ratios.values()] + [semantic / 2] * 2
    np.testing.assert_allclose(shares, expected)


def test_data_sets_are_drawn_by_their_shares(tmp_path):
    record = make_video(tmp_path, 1)
    mixture = Mixture([Component("a", RVOS, [record]), Component("b", SEMANTIC, [record])])
    drawn = Counter(mixture.draw(n, 1).dataset for n in range(400))
    assert abs(drawn["a"] / 400 - 12 / 16) < 0.07  # three standard deviations


def test_what_has_nothing_to_train_on_is_left_out_with_a_warning(tmp_path, caplog):
    record = make_video(tmp_path, 1)
    untold = Record("untold", record.frames, (Expression("0", "test split"),))
    mixture = Mixture([Component("a", RVOS, [record]), Component("b", SEMANTIC, [untold])])
    assert [source.name for source in mixture.components] == ["a"]
    np.testing.assert_allclose(mixture.shares, [1])
    assert any(record.levelno == logging.WARNING for record in caplog.records)


def test_a_mixture_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no data set has a record to train on"):
        Mixture([])


def test_all_that_lies_under_root_is_mixed(tmp_path):
    miniatures.make_refer(tmp_path)
    miniatures.make_ade20k(tmp_path / "LISA/sem_seg")
    miniatures.make_reason_seg(tmp_path)
    mixture = open_mixture(tmp_path)
    assert [s.name for s in mixture.components] == ["ade20k", "refcoco", "reason-seg"]
    np.testing.assert_allclose(mixture.shares, [4 / 8, 3 / 8, 1 / 8])
    assert mixture.draw(0, 4).masks_QTHW.shape[1:] == (1, *miniatures.SIZE)


def named_shares(root, **chosen):
    mixture = open_mixture(root, **chosen)
    return dict(zip((s.name for s in mixture.components), mixture.shares.round(6), strict=True))


def test_own_footage_alone_is_trained_on_without_a_ratio(tmp_path, caplog):
    videos.make_own(tmp_path)
    assert named_shares(tmp_path) == {"own": 1.0}
    assert "left out" not in caplog.text
    assert open_mixture(tmp_path).draw(0, 4).record == "kitchen"


def test_beside_the_papers_sets_own_footage_is_left_out_until_it_is_named(tmp_path, caplog):
    videos.make_mevis(tmp_path)
    videos.make_own(tmp_path)
    assert named_shares(tmp_path) == {"mevis": 1.0}
    assert f"own is left out ({tmp_path / 'own'}): name it in sets=" in caplog.text
    caplog.clear()
    assert named_shares(tmp_path, sets=("own",)) == {"own": 1.0}
    assert named_shares(tmp_path, sets=("own", "mevis")) == {"mevis": 0.5, "own": 0.5}
    assert "left out" not in caplog.text


def test_own_footage_is_mixed_in_at_the_ratio_that_is_asked(tmp_path):
    videos.make_mevis(tmp_path)
    videos.make_own(tmp_path)
    wanted = {"mevis": 0.8, "own": 0.2}
    assert named_shares(tmp_path, ratios={"own": 1000}) == wanted
    assert named_shares(tmp_path, sets=("own", "mevis"), ratios={"own": 1000}) == wanted


def test_a_named_set_is_drawn_as_often_as_the_others_of_its_category_on_average(tmp_path):
    videos.make_mevis(tmp_path)  # 4000
    videos.make_ref_youtube_vos(tmp_path)  # 15000
    videos.make_own(tmp_path)
    shares = named_shares(tmp_path, sets=("mevis", "ref-youtube-vos", "own"))
    assert shares["own"] == pytest.approx(1 / 3, abs=1e-6)


def test_a_named_set_that_is_not_there_is_an_error(tmp_path):
    videos.make_mevis(tmp_path)
    with pytest.raises(FileError, match="no own here: it would lie in own"):
        open_mixture(tmp_path, sets=("mevis", "own"))
    with pytest.raises(FileError, match="no data set is called owm; ade20k, "):
        open_mixture(tmp_path, sets=("owm",))


def test_a_ratio_below_zero_is_refused(tmp_path):
    videos.make_mevis(tmp_path)
    with pytest.raises(FileError, match="ratio of mevis is -1, must be above 0"):
        open_mixture(tmp_path, ratios={"mevis": -1})


def test_videos_of_every_category_are_drawn(tmp_path):
    videos.make_mevis(tmp_path)
    videos.make_video_qa(tmp_path)
    mixture = open_mixture(tmp_path)
    samples = [mixture.draw(number, 8) for number in range(60)]
    assert {sample.dataset for sample in samples} == {"mevis", "video-vqa"}
    for sample in samples:
        assert (sample.masks_QTHW is None) == (sample.dataset == "video-vqa")
        assert len(sample.frames_THW3) == 8


def test_a_ratio_of_zero_leaves_a_data_set_out(tmp_path):
    miniatures.make_refer(tmp_path, "refcoco")
    miniatures.make_refer(tmp_path, "refcocog")
    mixture = open_mixture(tmp_path, ratios={"refcoco": 0})
    assert [s.name for s in mixture.components] == ["refcocog"]


def test_a_ratio_of_an_unknown_data_set_is_refused(tmp_path):
    with pytest.raises(FileError, match="no data set is called refcocoo; ade20k, "):
        open_mixture(tmp_path, ratios={"refcocoo": 1})


def test_a_root_without_data_is_refused(tmp_path):
    with pytest.raises(FileError, match="no data set has a record to train on"):
        open_mixture(tmp_path)


def test_a_damaged_data_set_is_an_error_and_an_incomplete_one_is_left_out(tmp_path):
    miniatures.make_refer(tmp_path)
    miniatures.make_ade20k(tmp_path)
    (tmp_path / "ade20k/objectInfo150.txt").unlink()
    assert [s.name for s in open_mixture(tmp_path).components] == ["refcoco"]
    (tmp_path / "refer_seg/refcoco/instances.json").write_text("{")
    with pytest.raises(FileError, match=r"instances\.json: is not JSON"):
        open_mixture(tmp_path)
