"""Stories: what their pictures, sentences and truth promise, checked against the rendered ids."""

import json
from pathlib import Path
import re
import subprocess
import sys

import cv2
import numpy as np
from pycocotools import mask as coco_mask
import pytest

from virst_model.data.__main__ import main
from virst_model.data.write_stories import Shot, write_stories
from virst_model.errors import FileError
from virst_model.synthetic.actors import HELD_OUT, TEXTURES
from virst_model.synthetic.grammar import COLOURS
from virst_model.synthetic.shapes import RGB, SHAPES
from virst_model.synthetic.splits import SPLITS
from virst_model.synthetic.stories import KINDS, make_story

# Enough for every kind of sentence, shape and act to occur several times.
SEEDS = range(40)
TIMES = [tick / 10 for tick in range(61)]
HEIGHT, WIDTH = 120, 160
SIDES = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}
RANKS = {"leftmost": "left", "rightmost": "right", "topmost": "up", "bottommost": "down"}
RELATIONS = {"left of": "left", "right of": "right", "above": "up", "below": "down"}


class Viewer:
    """What somebody who looks at the id maps of a story can measure, with no word of its plot."""

    def __init__(self, story):
        self.story = story
        self.ids = np.stack([story.render(t, HEIGHT, WIDTH)[1] for t in TIMES])
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        self.area, self.at = {}, {}
        for actor in story.objects:
            mask = self.ids == actor.id
            self.area[actor.id] = area = mask.sum(axis=(1, 2))
            with np.errstate(invalid="ignore"):
                at = [(mask * place).sum(axis=(1, 2)) / area for place in (columns, rows)]
            self.at[actor.id] = np.stack(at)

    def is_whole(self, actor):
        """(T,) whether it can hardly be hidden: of the largest size that it ever has."""
        return self.area[actor] > 0.85 * self.area[actor].max()

    def is_clear(self, actor):
        """(T,) whether more of it is seen than a sliver."""
        return self.area[actor] > 0.05 * self.area[actor].max()

    def ahead(self, one, other, way):
        """(T,) how many pixels further that way the middle of `one` is."""
        axis, sign = SIDES[way]
        return sign * (self.at[one][axis] - self.at[other][axis])

    def touching(self, one, other):
        """(T,) whether pixels of the two lie next to each other."""
        kernel = np.ones((5, 5), np.uint8)
        grown = [cv2.dilate((now == one).astype(np.uint8), kernel) for now in self.ids]
        return np.array([(g & (now == other)).any() for g, now in zip(grown, self.ids)])


@pytest.fixture(scope="module")
def viewers():
    return [Viewer(make_story(seed, "valid")) for seed in SEEDS]


@pytest.fixture(scope="module")
def said(viewers):
    """(viewer, sentence) of several of each kind."""
    return [(v, s) for v in viewers for s in v.story.sentences(per_kind=8)]


def of_kind(said, kind, pattern=""):
    """Sentences of a kind, with the match of a pattern in their text."""
    found = [(v, s, re.search(pattern, s.text)) for v, s in said if s.kind == kind]
    return [(v, s, match) for v, s, match in found if match]


def called(story, name):
    """Ids of the actors to whom every word of a name applies."""
    words = name.replace("crosses", "cross").replace(",", "").split()
    shapes = [shape for shape in SHAPES if shape in words or f"{shape}s" in words]
    colours = [word for word in words if word in COLOURS]
    textures = [t for t in TEXTURES if t in words or t.replace("ped", "pes") in words]
    textures += ["dotted"] if "dots" in words else []
    sizes = [word for word in words if word in ("big", "small")]
    return {
        actor.id
        for actor in story.objects
        if all(shape == actor.shape for shape in shapes)
        and (not colours or set(colours) == set(actor.colours))
        and all(texture == actor.texture for texture in textures)
        and all(size == actor.size for size in sizes)
    }


def the_one(sentence):
    (actor,) = sentence.object_ids(0.0)
    return actor


def is_sure(sentence, t_s):
    """Whether nobody could doubt whom it means at `t_s`."""
    return not any(start <= t_s < end for start, end in sentence.unsure)


def test_same_seed_gives_the_same_story():
    one, other = make_story(7), make_story(7)
    assert one == other
    assert one.sentences() == other.sentences()
    assert one.questions() == other.questions()
    for ours, theirs in zip(one.render(2.53, 96, 128), other.render(2.53, 96, 128), strict=True):
        assert np.array_equal(ours, theirs)


def test_a_frame_does_not_depend_on_the_frames_rendered_before():
    fresh, used = make_story(3), make_story(3)
    for size in ((48, 64), (60, 80), (72, 96)):
        used.render(1.0, *size)
    assert np.array_equal(fresh.render(2.0, 48, 64)[0], used.render(2.0, 48, 64)[0])


def test_splits_never_share_a_story():
    drawn = [make_story(seed, split) for seed in range(20) for split in SPLITS]
    assert len({story.objects for story in drawn}) == len(drawn)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"split": "dev"}, "'dev' is not one of train, valid, test"),
        ({"n_objects": 7}, "n_objects is 7"),
        ({"duration_s": 0.0}, "duration_s is 0.0"),
    ],
)
def test_impossible_stories_are_refused(arguments, why):
    with pytest.raises(ValueError, match=why):
        make_story(0, **arguments)


@pytest.mark.parametrize("duration_s", [0.1, 0.8, 3.0, 20.0])
def test_stories_may_be_short_or_long(duration_s):
    story = make_story(1, duration_s=duration_s)
    assert story.sentences()
    assert story.render(duration_s, 48, 64)[1].shape == (48, 64)


def test_asked_number_of_actors_is_there():
    assert [len(make_story(5, n_objects=n).objects) for n in (1, 2, 6)] == [1, 2, 6]


def test_only_the_test_split_shows_what_is_held_out():
    shown = {
        split: {
            (colour, actor.shape)
            for seed in range(100)
            for actor in make_story(seed, split).objects
            for colour in actor.colours
        }
        for split in SPLITS
    }
    assert not (shown["train"] | shown["valid"]) & set(HELD_OUT)
    assert set(HELD_OUT) <= shown["test"]
    others = {(colour, shape) for colour in COLOURS for shape in SHAPES} - set(HELD_OUT)
    assert others <= shown["train"] | shown["valid"]


def test_every_test_story_shows_something_that_is_held_out():
    for seed in range(40):
        actors = make_story(seed, "test").objects
        assert any((colour, a.shape) in HELD_OUT for a in actors for colour in a.colours)


def test_what_is_held_out_is_not_even_named(said):
    """Else "the green triangle" would be learned to mean nobody."""
    for viewer, sentence in said:
        for colour, shape in HELD_OUT:
            assert not re.search(rf"\b{colour} {shape}", sentence.text), sentence
        for question in viewer.story.questions(count=20):
            assert not any(f"{c} {s}" in question.text for c, s in HELD_OUT), question


def test_every_actor_is_to_be_seen_for_a_while(viewers):
    for viewer in viewers:
        for actor in viewer.story.objects:
            assert (viewer.area[actor.id] > 40).sum() >= 10


def test_plain_objects_have_the_colour_of_their_name(viewers):
    names, rgbs = list(RGB), np.array(list(RGB.values()), float)
    tones = rgbs / np.linalg.norm(rgbs, axis=1, keepdims=True)
    for viewer in viewers:
        plain = [a for a in viewer.story.objects if len(a.colours) == 1 and a.texture == "plain"]
        for actor in plain:
            seen = []
            # At one of the two it may just be fading.
            for tick in np.flatnonzero(viewer.is_whole(actor.id))[[0, -1]]:
                frame, ids = viewer.story.render(TIMES[tick], HEIGHT, WIDTH)
                colour = np.median(frame[ids == actor.id].astype(float), axis=0)
                # Light changes how bright a colour is, not which colour it is.
                seen.append(names[int(np.argmax(tones @ (colour / np.linalg.norm(colour))))])
            assert actor.colours[0] in seen, (viewer.story.seed, actor)


def test_actors_stand_out_from_what_is_behind_them(viewers):
    for viewer in viewers:
        frame, ids = viewer.story.render(0.0, HEIGHT, WIDTH)
        for actor in viewer.story.objects:
            mask = (ids == actor.id).astype(np.uint8)
            around = (cv2.dilate(mask, np.ones((9, 9))) > 0) & (ids == 0)
            if mask.sum() > 60 and around.any():
                behind = np.median(frame[around].astype(float), axis=0)
                apart = np.linalg.norm(frame[mask > 0] - behind, axis=1)
                assert np.median(apart) > 40, (viewer.story.seed, actor)


def test_two_sizes_show_the_same_picture():
    for seed in range(10):
        story = make_story(seed, "test")
        small, large = (story.render(2.0, *size)[1] for size in ((128, 128), (480, 640)))
        shrunk = cv2.resize(large, (128, 128), interpolation=cv2.INTER_NEAREST)
        for actor in story.objects:
            one, other = small == actor.id, shrunk == actor.id
            # A contour one pixel off costs an actor of radius 9 about 20 %.
            if (one | other).sum() > 100:
                assert (one & other).sum() >= 0.7 * (one | other).sum()


def test_every_kind_of_sentence_occurs(said):
    counts = {kind: sum(s.kind == kind for _, s in said) for kind in KINDS}
    assert min(counts.values()) >= len(SEEDS)
    assert {s.kind for _, s in said} == set(KINDS)


def test_kinds_mean_as_many_as_they_say(said):
    for _, sentence in said:
        meant = {sentence.object_ids(t) for t in TIMES}
        if sentence.kind == "shift":
            assert len(meant) >= 2
            continue
        ((ids),) = meant
        if sentence.kind == "none":
            assert ids == ()
        elif sentence.kind == "plural":
            assert len(ids) >= 2
        elif sentence.kind == "reasoning":
            assert sentence.text.endswith("?")
            several = re.match(r"Which (shapes|objects|ones|two)", sentence.text)
            assert len(ids) >= 2 if several else len(ids) == 1, sentence
        else:
            assert len(ids) == 1, sentence


def test_only_sentences_of_time_have_a_deciding_event(said):
    for _, sentence in said:
        assert (sentence.decided_s > 0) == (sentence.kind == "time")
        assert sentence.decided_s <= TIMES[-1]


def test_sentences_of_a_story_differ(said, viewers):
    for viewer in viewers:
        texts = [s.text for v, s in said if v is viewer]
        assert len(set(texts)) == len(texts)


def test_attributes_fit_one_actor_alone(said):
    for viewer, sentence, _ in of_kind(said, "attribute"):
        assert called(viewer.story, sentence.text) == set(sentence.object_ids(0.0)), sentence


def test_many_attributes_need_all_their_words(said):
    needed = []
    for viewer, sentence, _ in of_kind(said, "attribute"):
        words = [w for w in sentence.text.split() if w in (*SHAPES, *COLOURS, *TEXTURES)]
        less = [sentence.text.replace(f"{word}", "") for word in words]
        needed.append(all(len(called(viewer.story, text)) != 1 for text in less))
    assert np.mean(needed) > 0.4


def test_relations_of_place_are_seen_all_the_time(said):
    checked = 0
    for viewer, sentence, match in of_kind(
        said, "relation", "^(.*) (left of|right of|above|below) "
    ):
        other = called(viewer.story, sentence.text[match.end() :])
        if len(other) != 1:
            continue  # its size tells it from others of that name
        checked += 1
        (other,), way, me = other, RELATIONS[match[2]], the_one(sentence)
        both = viewer.is_whole(me) & viewer.is_whole(other)
        assert (viewer.ahead(me, other, way)[both] > 5).all(), sentence
        name = match[1].removesuffix("to the").removesuffix("on the")
        for rival in called(viewer.story, name) - {me, other}:
            both = viewer.is_whole(rival) & viewer.is_whole(other)
            assert not (viewer.ahead(rival, other, way)[both] > 5).any(), sentence
    assert checked > 10


def test_superlatives_of_place_are_seen_all_the_time(said):
    found = of_kind(said, "superlative", "^the (leftmost|rightmost|topmost|bottommost) (.*)")
    for viewer, sentence, match in found:
        me = the_one(sentence)
        for rival in called(viewer.story, match[2]) - {me}:
            both = viewer.is_whole(me) & viewer.is_whole(rival)
            assert (viewer.ahead(me, rival, RANKS[match[1]])[both] > 5).all(), sentence
    assert len(found) > 20


def test_the_biggest_covers_the_most_pixels(said):
    found = of_kind(said, "superlative", "^the (biggest|largest) (.*)")
    for viewer, sentence, match in found:
        me = the_one(sentence)
        for rival in called(viewer.story, match[2]) - {me}:
            assert viewer.area[me].max() > 1.2 * viewer.area[rival].max(), sentence
    assert len(found) > 5


def test_plural_names_mean_all_of_that_name(said):
    pattern = "^(?:all the |all |the )(?:two |three |four |five |six )?((?:(?!that|except).)*)$"
    found = of_kind(said, "plural", pattern)
    for viewer, sentence, match in found:
        assert called(viewer.story, match[1]) == set(sentence.object_ids(0.0)), sentence
    assert len(found) > 20


def test_everything_except_leaves_out_one(said):
    for viewer, sentence, _ in of_kind(said, "plural", "except"):
        assert len(sentence.object_ids(0.0)) == len(viewer.story.objects) - 1


def test_what_moves_some_way_is_seen_to_go_there_and_nobody_else_of_that_name(said):
    pattern = r"^the (.*) that (?:moves|goes) (?:to the )?(left|right|up|down)$"
    found = of_kind(said, "motion", pattern)
    for viewer, sentence, match in found:
        me = the_one(sentence)
        for actor in called(viewer.story, match[1]):
            axis, sign = SIDES[match[2]]
            seen = viewer.is_whole(actor) | ((actor == me) & (viewer.area[actor] > 20))
            at = sign * viewer.at[actor][axis][seen]
            furthest = (at - np.minimum.accumulate(at)).max(initial=0)
            # A seventh of the frame's height; the camera shakes by 2 pixels.
            assert furthest > 10 if actor == me else furthest < 16, sentence
    assert len(found) > 10


def test_what_never_moves_stays_where_it_is(said):
    found = of_kind(said, "motion", "that (never moves|stands still|does not move)")
    for viewer, sentence, _ in found:
        me = the_one(sentence)
        at = viewer.at[me][:, viewer.is_whole(me)]
        assert np.ptp(at, axis=1).max() < 5, sentence
    assert len(found) > 3


def test_what_grows_and_shrinks_changes_its_area(said):
    found = of_kind(said, "motion", "that (grows|gets bigger|shrinks|gets smaller)$")
    for viewer, sentence, match in found:
        me = the_one(sentence)
        area = viewer.area[me][viewer.area[me] > 0].astype(float)
        if match[1] in ("grows", "gets bigger"):
            assert (area / np.minimum.accumulate(area)).max() > 1.8, sentence
        else:
            assert (np.maximum.accumulate(area) / area).max() > 1.8, sentence
    assert len(found) > 3


def test_what_disappears_has_no_pixels_for_a_while(said):
    found = of_kind(said, "motion", "that (disappears|goes out of sight)$")
    for viewer, sentence, _ in found:
        area = viewer.area[the_one(sentence)]
        assert area.max() > 40 and area.min() <= 0.05 * area.max(), sentence
    assert len(found) > 5


def test_the_first_and_last_to_disappear_are_seen_to_do_so_in_that_order(said):
    pattern = "^the (?:first |last )?(.*?) (?:to|that|that is the (?:first|last) to) "
    pattern += "(?:disappears?|goe?s? out of sight)(?: first| last)?$"
    found = of_kind(said, "time", pattern)
    for viewer, sentence, match in found:
        last, me = "last" in sentence.text, the_one(sentence)
        times = {}
        for actor in called(viewer.story, match[1]):
            gone = ~viewer.is_clear(actor)
            gone = np.flatnonzero(gone[1:] & ~gone[:-1]) + 1
            if gone.size:
                times[actor] = TIMES[gone[-1 if last else 0]]
        assert me == (max if last else min)(times, key=times.__getitem__), sentence
        assert abs(times[me] - sentence.decided_s) <= 0.3, sentence
    assert found


def test_the_first_to_move_is_seen_to_move_before_the_others(said):
    pattern = "^the first (.*) to (?:start moving|set off)$"
    found = of_kind(said, "time", pattern)
    for viewer, sentence, match in found:
        me = the_one(sentence)
        for actor in called(viewer.story, match[1]):
            moved = np.linalg.norm(viewer.at[actor] - viewer.at[actor][:, :1], axis=0) > 5
            if moved.any() and viewer.is_whole(actor)[0]:
                start = TIMES[int(moved.argmax())]
                late = start - sentence.decided_s
                assert 0 <= late < 1 if actor == me else late > 0.3, sentence
    assert found


def test_two_that_collide_touch_and_no_others_do(said):
    found = of_kind(said, "reasoning", "collide|bump into each other")
    for viewer, sentence, _ in found:
        one, other = sentence.object_ids(0.0)
        assert viewer.touching(one, other).any(), sentence
        ids = [actor.id for actor in viewer.story.objects]
        pairs = [{a, b} for a in ids for b in ids if a < b and viewer.touching(a, b).any()]
        assert pairs == [{one, other}], sentence
    assert found


@pytest.mark.parametrize(
    ("asked", "shapes"),
    [
        ("could roll", {"circle", "ring"}),
        ("three corners", {"triangle"}),
        ("four corners", {"square", "diamond"}),
        ("stands? for love", {"heart"}),
    ],
)
def test_riddles_mean_the_shapes_they_describe(asked, shapes):
    answered = 0
    for seed in range(150):
        story = make_story(seed)
        for sentence in story.sentences(per_kind=12):
            if re.search(asked, sentence.text):
                right = {actor.id for actor in story.objects if actor.shape in shapes}
                assert set(sentence.object_ids(0.0)) == right, sentence
                answered += 1
    assert answered > 10


def test_the_leftmost_now_is_the_leftmost_of_what_is_seen_now(said):
    pattern = "(leftmost|rightmost|topmost|bottommost)"
    found = of_kind(said, "shift", pattern)
    for viewer, sentence, match in found:
        axis, sign = SIDES[RANKS[match[1]]]
        for tick, t in enumerate(TIMES):
            seen = [i for i in viewer.area if viewer.is_clear(i)[tick]]
            if is_sure(sentence, t) and sentence.object_ids(t):
                (me,) = sentence.object_ids(t)
                far = {i: sign * viewer.at[i][axis][tick] for i in {me, *seen}}
                # A tenth of an actor's width is lost between two looks at its hidden part.
                assert far[me] >= max(far.values()) - 2, (sentence, t)
    assert len(found) > 20


def test_whatever_touches_is_next_to_it(said):
    found = of_kind(said, "shift", "^whatever (?:touches (.*) now|(the .*) touches)$")
    checked = 0
    for viewer, sentence, match in found:
        other = called(viewer.story, match[1] or match[2])
        if len(other) != 1:
            continue
        (other,) = other
        checked += 1
        for actor in {actor.id for actor in viewer.story.objects} - {other}:
            touching = viewer.touching(actor, other)
            truth = np.array([actor in sentence.object_ids(t) for t in TIMES])
            sure = np.array([is_sure(sentence, t) for t in TIMES])
            visible = viewer.is_clear(actor) & viewer.is_clear(other)
            assert (touching == truth)[sure & visible].all(), sentence
    assert checked > 5


def test_whatever_moves_now_is_seen_to_move_now(said):
    found = of_kind(said, "shift", "moving now|moves now|in motion")
    for viewer, sentence, _ in found:
        for actor in viewer.story.objects:
            at = viewer.at[actor.id]
            step = np.linalg.norm(at[:, 2:] - at[:, :-2], axis=0)  # in 0.2 s
            step = np.maximum(step[2:], step[:-2])  # of what turns back, before or after
            for tick in range(2, 59):
                steady = all(is_sure(sentence, TIMES[tick + d]) for d in range(-2, 3))
                whole = viewer.is_whole(actor.id)[tick - 2 : tick + 3].all()
                if steady and whole:
                    moves = actor.id in sentence.object_ids(TIMES[tick])
                    assert step[tick - 2] > 0.7 if moves else step[tick - 2] < 4, sentence
    assert len(found) > 5


def test_shifting_sentences_are_seldom_unsure(said):
    for _, sentence, _ in of_kind(said, "shift"):
        assert np.mean([is_sure(sentence, t) for t in TIMES]) >= 0.7, sentence


def test_names_without_a_bearer_mean_nobody(said):
    found = of_kind(said, "none", "^the ((?:(?!that|first|last).)*)$")
    for viewer, sentence, match in found:
        assert not called(viewer.story, match[1]), sentence
    assert len(found) > 20


def test_truth_is_the_visible_pixels_of_whom_is_meant():
    story = make_story(12)
    for sentence in story.sentences():
        _, ids = story.render(3.0, HEIGHT, WIDTH)
        mask = np.isin(ids, sentence.object_ids(3.0))
        assert mask.any() == any((ids == i).any() for i in sentence.object_ids(3.0))


def test_questions_of_number_count_the_actors(viewers):
    numbers = ("None.", "One.", "Two.", "Three.", "Four.", "Five.", "Six.")
    asked = 0
    for viewer in viewers:
        for question in viewer.story.questions(count=20):
            match = re.fullmatch(r"How many (.*) are there\?", question.text)
            if match:
                asked += 1
                assert question.answer == numbers[len(called(viewer.story, match[1]))], question
    assert asked > 20


def test_questions_of_colour_name_the_colour(viewers):
    asked = 0
    for viewer in viewers:
        for question in viewer.story.questions(count=20):
            match = re.fullmatch(r"What colour is (.*)\?", question.text)
            if match:
                asked += 1
                ids = called(viewer.story, match[1])
                colours = {" and ".join(viewer.story.objects[i - 1].colours) for i in ids}
                assert question.answer.lower().rstrip(".") in colours, question
    assert asked > 10


@pytest.mark.parametrize(
    "form", [r"How many (.*) are there\?", r"What (?:colour|shape) is (.*)\?"]
)
def test_a_question_says_whom_to_look_at_for_its_answer(viewers, form):
    matches = [
        (viewer.story, question, match[1])
        for viewer in viewers
        for question in viewer.story.questions(count=20)
        if (match := re.fullmatch(form, question.text))
    ]

    assert len(matches) > 10
    for story, question, name in matches:
        assert question.ids == tuple(sorted(called(story, name))), question


SHOT = Shot(frames=12, fps=4, width=96, height=72)


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_stories(tmp_path_factory.mktemp("data"), "test", 4, 3, SHOT)


def test_written_masks_are_the_rendered_ones(written):
    about = json.loads((written / "meta_expressions.json").read_text())["videos"]
    tracks = json.loads((written / "mask_dict.json").read_text())
    assert list(about) == ["00000003", "00000004", "00000005", "00000006"]
    for video, entry in about.items():
        story = make_story(int(video), "test", SHOT.frames / SHOT.fps)
        sentences = story.sentences()
        assert [e["exp"] for e in entry["expressions"].values()] == [s.text for s in sentences]
        for expression, sentence in zip(entry["expressions"].values(), sentences):
            assert expression["kind"] == sentence.kind
            for frame, t in enumerate(SHOT.times):
                codes = [tracks[str(anno)][frame] for anno in expression["anno_id"]]
                mask = np.zeros((SHOT.height, SHOT.width), bool)
                for code in codes:
                    mask |= coco_mask.decode(code).astype(bool) if code else False
                truth = np.isin(story.render(t, *mask.shape)[1], sentence.object_ids(t))
                assert np.array_equal(mask, truth), (video, sentence, frame)


def test_written_frames_are_the_rendered_ones(written):
    video = written / "JPEGImages" / "00000004"
    assert sorted(p.name for p in video.iterdir()) == [f"{i:05d}.jpg" for i in range(12)]
    seen = cv2.imread(str(video / "00006.jpg"))[:, :, ::-1].astype(float)
    frame, _ = make_story(4, "test", SHOT.frames / SHOT.fps).render(SHOT.times[6], 72, 96)
    assert np.abs(seen - frame).mean() < 8  # JPEG, with noise in the picture


def test_the_deciding_frame_is_that_of_the_event(written):
    for video, entry in json.loads((written / "meta_expressions.json").read_text())[
        "videos"
    ].items():
        sentences = make_story(int(video), "test", SHOT.frames / SHOT.fps).sentences()
        for expression, sentence in zip(entry["expressions"].values(), sentences):
            assert 0 <= expression["decided"] < SHOT.frames
            assert expression["decided"] == min(round(sentence.decided_s * 4), 11)


def test_questions_are_conversations_about_a_folder_of_frames(written):
    talks = json.loads((written / "questions.json").read_text())
    assert len({talk["id"] for talk in talks}) == len(talks) >= 8
    for talk in talks:
        human, model = talk["conversations"]
        assert human["from"] == "human" and human["value"].startswith("<image>\n")
        assert model["from"] == "gpt" and model["value"].endswith(".")
        assert (written / "JPEGImages" / Path(talk["video"]).stem).is_dir()


def test_same_arguments_write_the_same_bytes(written, tmp_path):
    again = write_stories(tmp_path, "test", 4, 3, SHOT)
    assert files_of(again) == files_of(written)


def test_interrupted_writing_goes_on_and_ends_the_same(written, tmp_path, monkeypatch):
    renames = []

    def interrupt(number, *rest):
        renames.append(number)
        if len(renames) == 3:
            raise KeyboardInterrupt
        return make_story(number, *rest)

    monkeypatch.setattr("virst_model.data.write_stories.make_story", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_stories(tmp_path, "test", 4, 3, SHOT)
    assert not (tmp_path / "test" / "meta_expressions.json").exists()
    again = write_stories(tmp_path, "test", 4, 3, SHOT)
    assert renames == [3, 4, 5, 5, 6]
    assert files_of(again) == files_of(written)


def test_other_arguments_for_the_same_folder_are_refused(written):
    with pytest.raises(FileError, match="was written with other arguments"):
        write_stories(written.parent, "test", 5, 3, SHOT)


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "precious").touch()
    with pytest.raises(FileError, match="holds no stories"):
        write_stories(tmp_path, "train", 1, 0, SHOT)


def test_command_line_writes_a_split(tmp_path, capsys):
    line = f"synthetic --out {tmp_path} --split valid --n 1 --frames 3 --fps 2 --size 64x48"
    assert main(line.split()) == 0
    assert capsys.readouterr().out == f"{tmp_path}/valid: 1 videos\n"
    assert len(list((tmp_path / "valid/JPEGImages/00000000").iterdir())) == 3


@pytest.mark.parametrize("wrong", ["--size 64", "--size 8x8", "--n 0", "--split dev", "--seed -1"])
def test_command_line_refuses_nonsense(wrong, tmp_path, capsys):
    line = f"synthetic --out {tmp_path} --split valid --n 1 {wrong}"
    assert main(line.split()) == 2
    assert wrong.split()[0] in capsys.readouterr().err


def test_command_line_says_in_one_line_why_it_cannot_write(tmp_path, capsys):
    (tmp_path / "valid").touch()
    assert main(f"synthetic --out {tmp_path} --split valid --n 1".split()) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path}/valid: ") and error.count("\n") == 1


def test_stories_need_neither_torch_nor_ros():
    code = "import sys, virst_model.synthetic.stories; "
    code += "sys.exit(bool({'torch', 'rclpy'} & {*sys.modules}))"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_several_are_spoken_of_in_the_plural(said):
    singular = re.compile(
        r"^(?!Which).* that (\w*s|never moves)\b|^Which \w+s (\w*s|never moves)\b"
    )
    for _, sentence in said:
        if sentence.kind == "plural" or re.match("Which (shapes|objects|ones)", sentence.text):
            assert not singular.search(sentence.text), sentence
