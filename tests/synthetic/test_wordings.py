"""The camera's world has more words than the drawn one, and each is true."""

import re

import numpy as np
import pytest

from virst_model.synthetic.actors import is_held_out
from virst_model.synthetic.colours import REGIONS, SHADES, has_name
from virst_model.synthetic.filmed import Filmed, film
from virst_model.synthetic.scenes import make_scene
from virst_model.synthetic.stories import make_story
from virst_model.synthetic.wordings import NEW_COLOURS, WORDS

COLOUR = re.compile("|".join(sorted([*REGIONS, *SHADES], key=len, reverse=True)))
BACK = {"ball": "circle", "disc": "circle", "block": "square"}
BACK |= dict.fromkeys(("item", "toy"), "(?:object|thing)")
NEW_NOUN = re.compile(rf"\b({'|'.join(BACK)})(s?)\b")
SEEDS = range(60)


def filmed(seed: int, make=make_scene) -> Filmed:
    return film(make(seed, "train", duration_s=4.6), np.random.default_rng([seed, 2]))


def told(make) -> list[tuple[Filmed, object]]:
    worlds = [filmed(seed, make) for seed in SEEDS]
    return [(w, s) for w in worlds for s in w.sentences(np.random.default_rng(w.seed), per_kind=5)]


@pytest.fixture(scope="module")
def of_scenes():
    return told(make_scene)


@pytest.fixture(scope="module")
def of_stories():
    return told(make_story)


def test_every_new_word_is_said(of_scenes, of_stories):
    said = {word for _, s in of_scenes + of_stories for word in re.findall(r"\w+", s.text)}

    assert set(WORDS) <= said


def test_white_is_drawn_more_often_than_other_colours_and_is_one_objects_own():
    drawn = [[i.colours[0] for i in make_scene(s, "train").objects] for s in range(200)]
    seen = [[i.colours[0] for i in filmed(s).objects] for s in range(200)]

    before, after = (np.mean(["white" in colours for colours in each]) for each in (drawn, seen))
    assert after > before + 0.1
    for colours, new in zip(drawn, seen, strict=True):
        if new.count("white") > colours.count("white"):
            pairs = zip(colours, new, strict=True)
            assert len({colour for colour, now in pairs if now == "white"}) == 1


def test_no_new_colour_gives_a_story_a_look_that_is_held_out():
    stories = [filmed(seed, make_story) for seed in range(400)]

    assert sum(story.objects != make_story(story.seed, "train").objects for story in stories) > 100
    for story in stories:
        assert not any(is_held_out(item.colours, item.shape) for item in story.objects)


def test_a_colour_that_is_named_is_that_of_what_is_meant_and_of_nothing_else(of_scenes):
    checked = set()
    for world, sentence in of_scenes:
        if sentence.kind != "colour":
            continue
        name = COLOUR.search(sentence.text)[0]
        own = [item.id for item in world.objects if item.colours == (name,)]
        assert sentence.object_ids(0.0) == tuple(own), sentence.text
        for item, coat in zip(world.objects, world.coats, strict=True):
            assert coat.cutout or has_name(coat.rgb, item.colours[0])
            assert coat.cutout or item.id in own or not has_name(coat.rgb, name)
        checked.add(name)
    assert checked & set(NEW_COLOURS) and checked & set(SHADES)


def test_what_means_nothing_names_no_colour_that_a_thing_may_be_called(of_scenes):
    absent = [(world, s) for world, s in of_scenes if s.kind == "none"]
    colours = 0
    for world, sentence in absent:
        found = COLOUR.search(sentence.text)
        if found is None or found[0] not in (*NEW_COLOURS, *SHADES):
            continue
        colours += 1
        for item, coat in zip(world.objects, world.coats, strict=True):
            if has_name(coat.rgb, found[0]):
                assert item.colours == (found[0],)
                assert item.shape not in sentence.text or item.size not in sentence.text
    assert colours > 5


@pytest.mark.parametrize("make", [make_scene, make_story])
def test_another_noun_means_the_same(make):
    """Back in the drawn world's nouns a sentence is one that the world has."""
    for seed in SEEDS:
        world = filmed(seed, make)
        own = {
            s.text: s.object_ids(0.0) for s in world.world.sentences(np.random.default_rng(seed))
        }
        for sentence in world.sentences(np.random.default_rng(seed)):
            if sentence.kind == "none":
                continue
            pattern = NEW_NOUN.sub(lambda m: BACK[m[1]] + m[2], re.escape(sentence.text))
            meant = [ids for text, ids in own.items() if re.fullmatch(pattern, text)]
            assert sentence.object_ids(0.0) in meant, sentence.text


def test_no_two_colours_of_a_world_are_called_alike():
    for seed in SEEDS:
        names = {name for item in filmed(seed).objects for name in item.colours}
        for shade in names & set(SHADES):
            assert shade.split()[-1] not in names


@pytest.mark.parametrize("make", [make_scene, make_story])
def test_the_drawn_world_has_the_words_of_before(make):
    words = {
        word
        for seed in SEEDS
        for s in make(seed, "train", duration_s=4.6).sentences()
        for word in re.findall(r"\w+", s.text)
    }

    assert not words & set(WORDS) - {"light"}  # a story's traffic light
