"""What a model that starts from nothing is shown and told: scenes, stories, words, and helps."""

from collections import Counter
import dataclasses
import re

import numpy as np
import pytest
from streams import real_model, smallest
import torch

from virst_model.checkpoints.load import build, load
from virst_model.config import TomeConfig
from virst_model.model.tome import TomeProjector
from virst_model.synthetic import scenes, stories
from virst_model.synthetic import world as synthetic_world
from virst_model.synthetic.coats import Coat
from virst_model.synthetic.filmed import Zoom, dressed, film
from virst_model.synthetic.grammar import MOTIONS, parse
from virst_model.synthetic.photographs import CutOut
from virst_model.synthetic.scenes import make_scene
from virst_model.synthetic.stories import make_story
from virst_model.synthetic.trajectory import TICK_S
from virst_model.synthetic.world import sentences_of_piece
from virst_model.train import synthetic
from virst_model.train.reading import read_loss, reading, target_share
from virst_model.train.stage import SceneDraws
from virst_model.train.stages import POINTING
from virst_model.train.synthetic import (
    LEAST_S,
    MOST_S,
    SyntheticBatches,
    SyntheticSamples,
    draw_any_world,
)
from virst_model.train.vocabulary import known_words, teach_words, train_tokenizer

FOLLOW = next(stage for stage in POINTING if stage.name == "follow")

# What is shown.


@pytest.mark.parametrize("stories", [0.0, 1.0])
def test_a_batch_is_of_scenes_or_of_stories(stories):
    batch = SyntheticBatches(SceneDraws(3, 3, (8,), stories=stories), 64, seed=0).draw(0)

    of_stories = [kind.startswith("story_") for kind in batch.sentences.kinds]
    assert all(of_stories) if stories else not any(of_stories)
    count, frames = len(batch.sentences.texts), len(batch.frames.times)
    assert batch.truth.shape == (count, frames, 64, 64)
    assert batch.truth.any()


def test_pictures_for_the_encoder_alone_have_no_clips_and_no_sentences():
    batch = SyntheticBatches(SceneDraws(2, 0, (3,), fused=0), 64, seed=0).draw(0)

    assert batch.frames.pixels.shape[:2] == (2, 3)
    assert batch.frames.clips.shape[1] == len(batch.sentences.texts) == 0


def test_what_heads_are_to_name_is_shown_without_distractors(monkeypatch):
    """These have no class: they would be called background."""
    shown = []

    def render(world, *others):
        shown.append(world)
        return synthetic_world.render_all(world, *others)

    monkeypatch.setattr(synthetic, "render_all", render)
    for sentences in (0, 2):
        shown.clear()
        draws = SceneDraws(8, sentences, (4,), stories=0.0, filmed=1.0)
        for number in range(3):
            SyntheticBatches(draws, 32, seed=0).draw(number)
        assert any(world.distractors for world in shown) == bool(sentences)


def test_every_kind_of_the_grammars_is_asked_in_training():
    batches = SyntheticBatches(dataclasses.replace(FOLLOW.draws, in_words=0.0), 32, seed=0)

    kinds = Counter(kind for number in range(25) for kind in batches.draw(number).sentences.kinds)

    assert set(kinds) == {*scenes.KINDS, *(f"story_{kind}" for kind in stories.KINDS)}
    least = {kind: count for kind, count in kinds.items() if count < 5}
    assert not least


def test_clips_alone_have_motions():
    batch = SyntheticBatches(SceneDraws(2, 0, (4,)), 64, seed=0).draw(0)

    assert batch.frames.clips.shape[:3] == (2, 1, 4)
    assert batch.auxiliaries.motions.any()


def test_a_motion_that_is_said_is_mostly_the_motion_of_those_pixels():
    """Not always: an object may be hidden, or turn back at the border, while it goes."""
    agree = []
    for number in range(8):
        draws = SceneDraws(4, 8, (4,), stories=0.0, fused=4)
        batch = SyntheticBatches(draws, 128, seed=1).draw(number)
        said = batch.sentences
        for text, kind, video, truth in zip(said.texts, said.kinds, said.video, batch.truth):
            small = truth[:4, 2::4, 2::4] > 0
            if kind == "motion" and small.sum() > 40:
                classes = batch.auxiliaries.motions[video, :4][small]
                most = MOTIONS[int(classes.clamp(min=0).mode().values) - 1]
                agree.append(most == parse(text).motion)
    assert len(agree) >= 5
    assert np.mean(agree) >= 0.8, agree


def goes(sentence, story, from_s, to_s):
    """Whether one that it means goes its way in the piece; None for what is not about a way."""
    found = re.fullmatch(r".* that (?:moves|goes) (?:to the )?(left|right|up|down)", sentence.text)
    if found is None:
        return None
    return any(
        action.way == found[1]
        and from_s - 0.25 <= action.start * TICK_S
        and action.end * TICK_S <= to_s + 0.25
        for actor in sentence.object_ids(0.0)
        for action in story.timeline.actions[actor - 1]
    )


@pytest.mark.parametrize("filmed", [False, True])
@pytest.mark.parametrize("piece", [(0.0, 2.0), (1.0, 3.5), (2.0, 5.0), (0.0, 6.0)])
def test_a_deed_is_said_of_a_piece_that_shows_it(piece, filmed):
    seen = []
    for seed in range(60):
        story = make_story(seed, "train", duration_s=6.0)
        world = film(story, np.random.default_rng(seed)) if filmed else story
        sentences = sentences_of_piece(world, *piece, np.random.default_rng(seed))
        seen += [goes(s, story, *piece) for s in sentences if s.kind == "story_motion"]
    told = [one for one in seen if one is not None]
    assert told and all(told)


def test_a_deed_is_told_by_what_shows_it_and_not_by_all_of_the_story():
    spans = []
    for seed in range(40):
        story = make_story(seed, "train", duration_s=6.0)
        for sentence in story.sentences(np.random.default_rng(seed), per_kind=3):
            motion = sentence.kind == "motion"
            if motion and goes(sentence, story, 0.0, 6.0) is not None:
                spans.append(sentence.deed_s[1] - sentence.deed_s[0])
    assert len(spans) > 10 and min(spans) >= 0 and np.median(spans) < 2.0


def test_who_is_to_see_when_something_happens_sees_that_it_had_not():
    early = 0
    for seed in range(40):
        for sentence in make_story(seed, duration_s=6.0).sentences(per_kind=3):
            if sentence.kind == "time":
                start_s, end_s = sentence.deed_s
                assert end_s == pytest.approx(min(6.0, sentence.decided_s + 0.4))
                assert start_s <= max(0.0, sentence.decided_s - 0.4)
                early += start_s > 0
    assert early > 5


def test_what_anyone_sees_at_once_is_said_of_a_short_piece_too():
    kinds = Counter()
    for seed in range(20):
        piece = sentences_of_piece(make_story(seed), 1.0, 1.7, np.random.default_rng(seed))
        kinds.update(sentence.kind for sentence in piece)
    always = ("attribute", "relation", "superlative", "plural", "shift", "reasoning", "none")
    assert all(kinds[f"story_{kind}"] > 8 for kind in always), kinds
    assert kinds["story_motion"] + kinds["story_time"] < 4


def test_who_stands_still_is_known_once_the_others_have_moved():
    seen = 0
    for seed in range(80):
        story = make_story(seed, "train", duration_s=6.0)
        for sentence in story.sentences(np.random.default_rng(seed), per_kind=3):
            if sentence.kind == "motion" and re.search("never|all the time|at all", sentence.text):
                start, end = (round(s / TICK_S) for s in sentence.deed_s)
                moved = story.timeline.moving[:, start : end + 1].any(axis=1)
                assert not (story.timeline.moving.any(axis=1) & ~moved).any()
                seen += 1
    assert seen > 3


def test_a_bounce_is_seen_from_before_it_until_after_it():
    seen = 0
    for seed in range(60):
        story = make_story(seed, "train", duration_s=6.0)
        bounces = [a for acts in story.timeline.actions for a in acts if a.verb == "bounce"]
        for sentence in story.sentences(np.random.default_rng(seed), per_kind=3):
            told = re.search("bumps into|bounces off|that hits|collide|bump into", sentence.text)
            if told and sentence.kind != "none":
                start_s, end_s = sentence.deed_s
                assert any(start_s < a.start * TICK_S < end_s for a in bounces)
                seen += 1
    assert seen > 5


@pytest.mark.parametrize("filmed", [False, True])
def test_an_event_that_is_still_to_come_is_not_asked_for(filmed):
    late = 0
    for seed in range(20):
        story = make_story(seed, "train", duration_s=7.0)
        if filmed:
            story = film(story, np.random.default_rng(seed))
        sentences = story.sentences(np.random.default_rng(seed), per_kind=1)
        to_come = {sentence.text for sentence in sentences if sentence.decided_s > 3.0}
        piece = sentences_of_piece(story, 0.0, 3.0, np.random.default_rng(seed))
        assert not to_come & {sentence.text for sentence in piece}
        late += len(to_come)
    assert late > 0


def test_a_filmed_story_is_a_story():
    filmed = film(make_story(3, "train", duration_s=7.0), np.random.default_rng(0))

    sentences = sentences_of_piece(filmed, 0.0, 7.0, np.random.default_rng(0))

    assert sentences and all(sentence.kind.startswith("story_") for sentence in sentences)


def test_questions_are_asked_of_whole_windows_in_their_share():
    draws = SceneDraws(2, 3, (4, 8), tracked=2, in_words=0.5)
    batches = [SyntheticBatches(draws, 64, seed=0).draw(number) for number in range(12)]
    asked = [batch for batch in batches if batch.sentences.answers is not None]

    assert 2 <= len(asked) <= 10
    for batch in asked:
        assert all(text.endswith("?") for text in batch.sentences.texts)
        assert batch.frames.clips.shape[:2] == (2, 2)  # of the longest window
        assert batch.truth.shape == (len(batch.sentences.texts), 8, 64, 64)
        assert batch.frames.segmented == []


def test_a_view_that_shows_a_part_is_asked_nothing():
    views = [film(make_story(seed), np.random.default_rng(seed)) for seed in range(20)]
    asked = [view for view in views if view.questions(np.random.default_rng(0))]

    assert asked and all(view.zoom.scale <= 1 for view in asked)
    assert any(view.zoom.scale > 1 for view in views)


def test_a_thing_without_the_shape_of_its_object_leaves_nothing_to_ask():
    scene = make_scene(3, "train", duration_s=4.0)
    coats = tuple(Coat(item.rgb) for item in scene.objects)
    thing = CutOut("mug", np.full((8, 8, 4), 255, np.uint8), None)
    cut_out = (dataclasses.replace(coats[0], cutout=thing), *coats[1:])

    drawn, filmed = (dressed(scene, each, scene.view, Zoom()) for each in (coats, cut_out))

    assert drawn.questions() and not filmed.questions()


def test_a_world_of_a_batch_is_as_long_as_its_window(monkeypatch):
    lengths = []

    def draw(stories, filmed, length_s, *others):
        lengths.append(length_s)
        return draw_any_world(stories, filmed, length_s, *others)

    monkeypatch.setattr(synthetic, "draw_any_world", draw)
    for frames in (4, 24):
        lengths.clear()
        batch = SyntheticBatches(SceneDraws(1, 3, (frames,)), 64, seed=0)
        for number in range(4):
            batch.draw(number)
        assert all(LEAST_S <= length <= MOST_S for length in lengths)
        assert (max(lengths) == LEAST_S) is (frames == 4)


def test_a_view_of_which_nothing_can_be_said_leaves_the_others_their_sentences(monkeypatch):
    worlds = []

    def say(world, *piece):
        worlds.append(world)
        return [] if world is worlds[0] else sentences_of_piece(world, *piece)

    monkeypatch.setattr(synthetic, "sentences_of_piece", say)
    batch = SyntheticBatches(SceneDraws(2, 3, (4,)), 64, seed=0).draw(0)

    assert batch.sentences.video.tolist() == [1, 1, 1]
    assert len(batch.truth) == 3


def test_samples_ask_for_masks_or_for_words_and_follow_from_their_number():
    source = SyntheticSamples(seed=0, sentences=4, in_words=0.3, stories=0.5)
    samples = [source.draw(number, 8) for number in range(12)]

    assert {sample.answers is None for sample in samples} == {True, False}
    again = source.draw(5, 8)
    assert again.texts == samples[5].texts
    assert all((a == b).all() for a, b in zip(again.frames_THW3, samples[5].frames_THW3))


# What is said.


def test_every_word_of_scenes_and_stories_is_one_token():
    tokenizer = train_tokenizer()

    several = [word for word in known_words() if len(tokenizer.encode(f" {word}").ids) > 1]

    assert len(known_words()) > 200
    assert several == []


def test_a_model_that_is_taught_words_keeps_those_it_knew():
    config = smallest()
    fewer = dataclasses.replace(config, llm=dataclasses.replace(config.llm, vocab=512))
    old = build(fewer, seed=1, tokenizer=train_tokenizer(512))

    new = teach_words(old)

    assert {"honeycomb", "red", "circle"} <= set(new.config.known_words)
    for token in ("Ġred", "[SEG]"):
        rows = [
            m.vlm.llm.get_input_embeddings().weight[m.tokenizer.token_to_id(token)]
            for m in (old, new)
        ]
        assert torch.equal(*rows)
    pieces = old.tokenizer.encode(" honeycomb").ids
    mean = old.vlm.llm.lm_head.weight[pieces].mean(dim=0)
    assert len(pieces) > 1
    row = new.vlm.llm.lm_head.weight[new.tokenizer.token_to_id("Ġhoneycomb")]
    assert torch.allclose(row, mean)
    assert teach_words(new) is new


# Where to read.


def test_a_merged_token_knows_how_much_of_it_is_marked():
    projector = TomeProjector(TomeConfig(heads=2, tokens=2), vision_dim=8, hidden=8)
    one, two = torch.randn(2, 8)
    tokens = torch.stack([one, two, one, two, two, two, one, one])[None]

    share = projector.share(tokens, torch.tensor([[1, 0, 1, 0, 0, 1, 1, 1]]))

    assert sorted(share[0].tolist()) == pytest.approx([0.25, 1.0])


def test_the_weights_that_are_computed_beside_are_those_of_the_attention():
    model = real_model(smallest())
    model.vlm.llm.set_attn_implementation("eager")
    embeds = torch.randn(2, 9, model.config.llm.hidden)
    places = torch.tensor([[4, 8], [2, 3]])

    with reading(model) as noted:
        out = model.vlm.llm.model(inputs_embeds=embeds, output_attentions=True)

    for mine, theirs in zip(noted.weights(places), out.attentions[-2:], strict=True):
        expected = torch.stack([theirs[row][:, where] for row, where in enumerate(places)])
        assert torch.allclose(mine, expected, atol=1e-6)


def test_reading_the_target_costs_nothing_and_reading_beside_it_does():
    share = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])  # the second is not there
    on, beside = torch.zeros(2, 2, 2, 1, 5)
    on[..., 2], beside[..., 1] = 1, 1

    assert read_loss([on], share, visual_at=1) == pytest.approx(0, abs=1e-3)
    assert read_loss([beside], share, visual_at=1) > 5


def test_the_target_is_where_its_pixels_are_in_the_clips():
    model = load()
    batch = SyntheticBatches(SceneDraws(2, 4, (4,)), 128, seed=2).draw(0)
    tokens = model.vlm.umt(batch.frames.clips.flatten(0, 1))

    share = target_share(batch, tokens, model.vlm.projector.share)

    assert share.shape == (len(batch.truth), 2 * 64)  # of the clip, and of the one that fills up
    shown = batch.truth[:, :4].flatten(1).any(dim=1)
    assert torch.equal(share.amax(dim=1) > 0, shown)
