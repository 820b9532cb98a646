"""The camera's world: other looks, before other things, in a camera; the truth stays true."""

from dataclasses import replace
from pathlib import Path
import re
import shutil

import cv2
import numpy as np
import pytest

from virst_model.errors import InputError
from virst_model.synthetic.actors import is_held_out
from virst_model.synthetic.backgrounds import draw_background
from virst_model.synthetic.camera import Camera
from virst_model.synthetic.colours import (
    NAMES,
    SHADES,
    draw_rgb,
    has_name,
    main_name,
    name_of,
    named,
)
from virst_model.synthetic.filmed import Filmed, draw_camera, film
from virst_model.synthetic.photographs import ASIDE, Photographs, read_photographs
from virst_model.synthetic.scene_objects import UNNAMED
from virst_model.synthetic.scenes import make_scene
from virst_model.synthetic.shapes import RGB, SHAPES
from virst_model.synthetic.stories import make_story

SIDE = 128
STILL = {"noise": 0.0, "seed": 0, "light": (0.0, 1.0, 0.0)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Photographs of plain grey ramps, and cut-outs: red, blue and striped discs."""
    root = tmp_path_factory.mktemp("photographs")
    (root / "photographs").mkdir()
    (root / "cutouts").mkdir()
    ramp = np.tile(np.linspace(60, 200, 160, dtype=np.uint8), (120, 1))
    for name in ("Hall", "Field", ASIDE[0]):
        cv2.imwrite(str(root / "photographs" / f"{name}.jpg"), cv2.merge([ramp] * 3))
    for number in range(6):
        disc = np.zeros((64, 64, 4), np.uint8)
        bgr = ((36, 40, 212), (218, 78, 40), (128, 128, 128))[number % 3]
        cv2.circle(disc, (32, 32), 28, (*bgr, 255), -1)
        cv2.imwrite(str(root / "cutouts" / f"disc{number}.png"), disc)
    return root


def filmed(seed: int, story: bool = False, folder: Path | None = None, **options) -> Filmed:
    make = make_story if story else make_scene
    photographs = {"photographs": read_photographs(folder)} if folder else {}
    world = make(seed, "train", duration_s=4.0)
    return film(world, np.random.default_rng([seed, 1]), **photographs, **options)


@pytest.mark.parametrize("story", [False, True])
def test_the_same_draw_films_the_same_pictures(story, folder):
    first, again = (filmed(3, story, folder).render(1.0, SIDE, SIDE) for _ in range(2))

    assert all(np.array_equal(a, b) for a, b in zip(first, again))


def test_a_world_that_is_not_zoomed_keeps_its_places():
    world = make_story(5, "train", duration_s=4.0)
    own = film(world, np.random.default_rng(0), zooms=0.0)
    still = own.view.camera.offset(1.0) == 0
    ids, drawn = own.render(1.0, SIDE, SIDE)[1], world.render(1.0, SIDE, SIDE)[1]

    assert not still or (ids == drawn).mean() > 0.97


def test_things_can_be_seen_against_what_lies_behind_them():
    """Within an object its colour is another than right around it."""
    apart = []
    for seed in range(12):
        world = filmed(seed, zooms=0.0)
        picture, ids = world.render(0.5, SIDE, SIDE)
        for number in np.unique(ids)[1:]:
            inside = (ids == number).astype(np.uint8)
            around = (cv2.dilate(inside, np.ones((9, 9))) > 0) & (ids == 0)
            if inside.sum() > 60 and around.any():
                apart.append(np.abs(picture[inside > 0].mean(0) - picture[around].mean(0)).max())
    assert np.median(apart) > 40 and np.mean(np.array(apart) > 12) > 0.95


def test_a_photograph_may_have_the_colours_of_things_as_long_as_they_are_seen_before_it():
    grass, lawn = (
        (np.full((240, 320, 3), rgb, np.uint8)) for rgb in ((96, 150, 60), (40, 160, 60))
    )
    things = {"rgbs": [(36, 166, 66)], "colours": ["green"]}

    behind = [
        draw_background(**things, photographs=Photographs((grass, lawn)), rng=rng)
        for rng in map(np.random.default_rng, range(60))
    ]

    green = [picture for picture in behind if named(picture, "green").mean() > 0.9]
    assert 12 <= len(green) <= 48  # others are painted
    assert all(np.ptp([picture[0, 0], (36, 166, 66)], axis=0).max() >= 30 for picture in green)


def test_sizes_reach_from_specks_to_half_the_frame_and_over_its_border():
    shares, cut = [], 0
    for seed in range(40):
        ids = filmed(seed, zooms=1.0).render(0.0, SIDE, SIDE)[1]
        shares += [(ids == n).mean() for n in np.unique(ids)[1:]]
        border = np.concatenate((ids[0], ids[-1], ids[:, 0], ids[:, -1]))
        cut += bool(border.any())
    assert min(shares) < 0.003 and max(shares) > 0.3 and cut > 5


def test_what_a_near_or_far_view_makes_untrue_is_not_said():
    for seed in range(30):
        world = filmed(seed, story=bool(seed % 2), zooms=1.0)
        words = {word for s in world.sentences(per_kind=2) for word in s.text.split()}
        kinds = {sentence.kind for sentence in world.sentences(per_kind=2)}
        if not 0.8 <= world.zoom.scale <= 1.25:
            assert not words & {"big", "small", "largest", "smallest"}
        if world.zoom.scale > 1:
            assert not kinds & {"position", "size", "relation", "superlative", "shift"}
            if world.eventful:
                assert all(s.deed_s is None for s in world.sentences(per_kind=2))
        if world.zoom.scale != 1:
            assert not words & {"leaves", "enters", "picture", "sight", "disappears", "gone"}


def test_of_a_camera_that_pans_nobody_is_asked_who_moves():
    told = re.compile(r"\b(mov\w+|still|goes|grows|spins|follows|bounces|hides|leaves|now)\b")
    pans = 0
    for seed in range(60):
        world = filmed(seed, story=bool(seed % 2), zooms=0.0)
        if world.view.camera.pan:
            pans += 1
            sentences = world.sentences(per_kind=3)
            assert sentences and not world.questions()
            assert not [s.text for s in sentences if told.search(s.text)]
    assert pans > 4


def test_a_photographed_thing_is_named_by_its_colour_and_by_no_shape(folder):
    found = 0
    for seed in range(20):
        world = filmed(seed, folder=folder, cutouts=1.0, zooms=0.0)
        assert all(item.shape == UNNAMED for item in world.objects)
        for sentence in world.sentences(per_kind=3):
            found += 1
            assert not any(shape in sentence.text for shape in SHAPES), sentence.text
    assert found > 40


@pytest.mark.parametrize("colour", [*NAMES, *SHADES])
def test_a_camera_leaves_a_colour_its_name(colour):
    rng = np.random.default_rng(1)
    without_noise, shares, cameras = np.full((64, 64, 3), 128, np.uint8), [], []
    for _ in range(30):
        rgb = draw_rgb(colour, rng)
        camera = replace(draw_camera([(rgb, colour)], rng), quality=0)
        flat = np.full((48, 48, 3), rgb, np.uint8)
        for t_s in np.arange(0, 5, 0.5):
            seen = camera.expose(flat, without_noise, t_s)
            shares.append(named(seen, colour).mean())
        assert has_name(rgb, colour)
        cameras.append(camera)
    assert np.mean(shares) > 0.92, np.mean(shares)  # levels are rounded, on the way three times
    assert sum(c.light[0] > 0 for c in cameras) > 3
    assert np.std([c.exposure for c in cameras]) > 0.05
    assert np.std([c.saturation for c in cameras]) > 0.05


@pytest.mark.parametrize("colour", NAMES)
def test_a_colour_that_is_drawn_has_its_name(colour):
    rng = np.random.default_rng(2)

    assert {name_of(draw_rgb(colour, rng)) for _ in range(100)} == {colour}


@pytest.mark.parametrize("shade", SHADES)
def test_a_light_or_dark_colour_is_one_of_its_colour_and_of_no_other_shade(shade):
    rng = np.random.default_rng(2)
    for _ in range(100):
        rgb = draw_rgb(shade, rng)
        assert name_of(rgb) == shade.split()[-1]
        assert [name for name in SHADES if has_name(rgb, name)] == [shade]


def test_what_lies_between_two_colours_has_no_name():
    assert name_of((246, 175, 37)) is None  # between orange and yellow
    assert name_of((175, 200, 50)) is None  # between yellow and green
    assert name_of((128, 100, 110)) is None


def test_the_colour_of_a_picture_is_that_of_half_of_it():
    rgba = np.zeros((10, 10, 4), np.uint8)
    rgba[..., 3] = 255
    rgba[:, :, :3] = RGB["blue"]
    assert main_name(rgba) == "blue"
    rgba[:, :4, :3] = RGB["red"]
    assert main_name(rgba) is None
    assert named(rgba[..., :3], "red").mean() == 0.4


def test_a_camera_that_does_nothing_leaves_the_colours():
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)

    assert np.array_equal(Camera(**STILL).see_colours(picture), picture)


@pytest.mark.parametrize(
    "effect",
    [
        {"saturation": 0.4},
        {"hue_deg": 20.0},
        {"exposure": 0.6},
        {"gamma": 1.5},
        {"vignette": 0.5},
        {"bands": 6.0},
        {"quality": 20},
    ],
)
def test_each_effect_of_a_camera_changes_the_picture(effect):
    picture = make_scene(1, "train").render(0.0, 48, 64)[0]
    plain, other = Camera(**STILL), Camera(**STILL, **effect)
    grain = plain.grain(48, 64)

    difference = np.abs(
        other.expose(picture, grain, 0.3).astype(int) - plain.expose(picture, grain, 0.3)
    )
    assert difference.max() >= 3


def test_pictures_that_are_kept_aside_are_never_learned_from(folder):
    learned, aside = read_photographs(folder), read_photographs(folder, aside=True)

    assert len(learned.backgrounds) == 2 and len(aside.backgrounds) == 1
    names = [{cutout.name for cutout in part.cutouts} for part in (learned, aside)]
    assert names == [{"disc1", "disc2", "disc3", "disc4"}, {"disc0", "disc5"}]
    assert {c.name: c.colour for c in learned.cutouts}["disc3"] == "red"


def test_what_a_mac_leaves_in_the_folders_is_no_picture_and_changes_no_order(folder, tmp_path):
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    for place in ("photographs/._Hall.jpg", "cutouts/._disc0.png"):
        (copied / place).write_bytes(b"not a picture")

    for aside in (False, True):
        one, other = (read_photographs(each, aside) for each in (folder, copied))
        assert [c.name for c in one.cutouts] == [c.name for c in other.cutouts]
        assert len(one.backgrounds) == len(other.backgrounds)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(InputError, match="virst data photographs"):
        read_photographs(tmp_path)


@pytest.fixture(scope="module")
def distracted() -> list[Filmed]:
    """Scenes with distractors, of a hundred."""
    return [world for world in map(filmed, range(100)) if world.distractors]


def test_distractors_are_in_the_picture_and_in_no_id(distracted):
    changed = 0
    assert 15 < len(distracted) < 45
    for world in distracted:
        picture, ids = world.render(0.5, SIDE, SIDE)
        alone, same_ids = replace(world, distractors=None).render(0.5, SIDE, SIDE)
        changed += ((picture != alone).any(2) & (ids == 0)).sum() > 20
        assert np.array_equal(ids, same_ids)
    assert changed > 0.7 * len(distracted)  # near views leave some outside


def test_no_sentence_may_mean_a_distractor(distracted):
    """Whoever takes a distractor for a thing of the scene finds no other answer."""
    kinds = set()
    for world in distracted:
        things = world.world.objects
        others = [
            replace(item, id=len(things) + number)
            for number, item in enumerate(world.distractors.world.objects, start=1)
        ]
        mixed = replace(world.world, objects=(*things, *others))
        for sentence in replace(world, many_words=False).sentences(per_kind=3):
            kinds.add(sentence.kind)
            # None for a name with a shade, of which the drawn world's grammar knows nothing.
            assert mixed.answer(sentence.text) in (None, sentence.object_ids(0.0)), sentence.text
    assert kinds >= {"colour", "colour_shape", "size", "position", "motion", "all", "none"}


def test_a_colour_that_is_not_there_is_not_that_of_a_distractor(distracted):
    for world in distracted:
        there = {item.colour for item in world.distractors.world.objects}
        assert not there & {item.colour.split()[-1] for item in world.world.objects}
        for sentence in world.sentences(per_kind=3):
            assert not there & set(sentence.text.split()), sentence.text
        assert not world.questions() and not world.questions(np.random.default_rng(0))


def test_distractors_keep_their_colours_in_the_camera_and_show_no_look_of_the_test(distracted):
    for world in distracted:
        assert not any(
            has_name(rgb, name)
            for item, coat in zip(world.distractors.actors, world.distractors.coats, strict=True)
            for rgb in world.view.camera.extremes(coat.rgb)
            for name in {thing.colour for thing in world.world.objects}
        )
        shown = [(item.colours, item.shape) for item in world.distractors.world.objects]
        assert not any(is_held_out(*look) for look in shown)
