"""Adaptive grounding: rule 21 of docs/stream.md, on a model that sees colours."""

import numpy as np
import pytest
from streams import COLOURS, ColourModel, bars, frame, query, run, session, states
import torch

from virst_model.answer import LOST, TRACKING
from virst_model.stream.change import Watch
from virst_model.stream.compose import Shown
from virst_model.stream.grounder import GroundingError

OLD_S = 20.0
STAYS = [frame(t, red=1) for t in range(28)]


def on_change(model, **options):
    """A stream of a query that waits for a change, or for `OLD_S`."""
    options = {"reground": "on_change", "reground_every": 4, "reground_after_s": OLD_S, **options}
    stream = session(model, **options)
    stream.set_queries((query(1),))
    return stream


def asked(model):
    """Times of the newest frames that the model was asked about."""
    return [times[-1] for _, times in model.grounded]


def wide(t):
    """A frame whose red thing has all columns from the first to the sixth."""
    image = frame(t, red=1)
    image[18:, 8 : 7 * 8] = COLOURS["red"]
    return image


def test_a_query_whose_masks_agree_is_asked_again_only_once_its_answer_is_old():
    model = ColourModel()

    run(on_change(model), [frame(t, red=1) for t in range(60)])

    assert asked(model) == [3, 7, 27, 47]


@pytest.mark.parametrize(
    "changed",
    [frame, lambda t: frame(t, red=6), wide],
    ids=["the object has gone", "its mask jumps", "its mask has another shape"],
)
def test_a_query_whose_masks_stop_agreeing_is_asked_with_the_next_clip(changed):
    model = ColourModel()

    run(on_change(model), [*STAYS[:13], *(changed(t) for t in range(13, 27))])

    assert asked(model) == [3, 7, 15]  # 12 to 15 is the clip of frame 13; then it stays so


def test_one_frame_without_the_object_is_a_change():
    model = ColourModel()

    run(on_change(model), [*STAYS[:13], frame(13), *STAYS[14:27]])

    assert asked(model) == [3, 7, 15]


def test_masks_that_change_all_the_time_are_asked_about_as_often_as_by_the_clock():
    restless = [frame(t, red=t % 7) for t in range(60)]
    models = [ColourModel(), ColourModel()]

    run(on_change(models[0], reground_every=8), restless)
    run(on_change(models[1], reground_every=8, reground="periodic"), restless)

    assert asked(models[0]) == asked(models[1]) == [3, 7, *range(15, 60, 8)]


def test_a_query_without_an_object_is_asked_as_often_as_by_the_clock():
    model = ColourModel()

    results = run(on_change(model), [frame(t, blue=1) for t in range(24)])

    assert states(results)[-1] == LOST
    assert asked(model) == [*range(3, 24, 4)]


def test_an_answer_without_an_object_that_is_followed_is_asked_again_at_once():
    model = ColourModel()
    stream = on_change(model)
    run(stream, STAYS[:20])

    model.says["red"] = "green"
    results = run(stream, [frame(t, red=1) for t in range(20, 32)], start=20)

    assert asked(model) == [3, 7, 27, 31]
    assert states(results) == [TRACKING] * 11 + [LOST]


def test_an_answer_that_agrees_only_in_part_is_asked_again_at_once():
    """The referent has just shifted: masks look fine, and older frames still mean the same."""

    class Shifting(ColourModel):
        def ground(self, clip_tokens, features, text, *args, **kwargs):
            prompts = super().ground(clip_tokens, features, text, *args, **kwargs).clone()
            for place, t in enumerate(self.grounded[-1][1]):
                if t >= 24:
                    prompts[place] = torch.tensor(COLOURS["blue"], dtype=torch.float32)
            return prompts

    model = Shifting()

    results = run(on_change(model), [frame(t, red=1, blue=5) for t in range(60)])

    # Anchors of 20 to 27 are red and blue, those of 24 to 31 blue.
    assert asked(model) == [3, 7, 27, 31, 51]
    assert bars(results[30].results[0].mask_HW) == [1]
    assert bars(results[-1].results[0].mask_HW) == [5]


def test_a_question_that_failed_is_asked_again_as_by_the_clock():
    model = ColourModel()
    stream = on_change(model)
    run(stream, STAYS[:24])
    ground, model.ground = model.ground, None
    run(stream, STAYS[24:27], start=24)
    with pytest.raises(GroundingError):
        stream.step(STAYS[27], 27.0)

    model.ground = ground
    run(stream, [frame(t, red=1) for t in range(28, 44)], start=28)

    assert asked(model) == [3, 7, 31]


def test_what_changed_while_an_answer_was_on_its_way_is_a_change():
    model = ColourModel()

    run(
        on_change(model, grounding_delay_frames=3),
        [*STAYS, frame(28, red=1), *(frame(t) for t in range(29, 44))],
    )

    assert asked(model) == [3, 7, 27, 31]  # asked at 27, gone at 29, answered at 30


def test_a_mask_that_an_answer_has_moved_agrees_with_it():
    model = ColourModel()
    stream = on_change(model, grounding_delay_frames=2)
    run(stream, [frame(t, red=1, blue=5) for t in range(20)])

    model.says["red"] = "blue"
    results = run(stream, [frame(t, red=1, blue=5) for t in range(20, 60)], start=20)

    assert asked(model) == [3, 7, 27, 47]
    assert bars(results[-1].results[0].mask_HW) == [5]


def test_after_a_cut_a_query_is_asked_as_a_new_one():
    model = ColourModel()
    stream = on_change(model)
    run(stream, STAYS[:13], start=100)

    run(stream, [frame(t, red=1) for t in range(13, 27)], start=0)

    assert asked(model) == [3, 7, 16, 20]


def test_queries_that_do_not_change_wait_while_another_is_asked():
    model = ColourModel()
    stream = on_change(model)
    stream.set_queries((query(1, "red"), query(2, "blue")))

    run(stream, [frame(t, red=1, blue=5 if t < 13 else 3) for t in range(27)])

    times = {text: [t[-1] for x, t in model.grounded if x == text] for text in ("red", "blue")}
    assert times == {"red": [3, 7], "blue": [3, 7, 15]}


def shown(mask_hw):
    return Shown(query(1), TRACKING, np.where(mask_hw, 9.0, -9.0), 0.9, 5.0, 1.0)


def box(left, width=10, height=10):
    mask_hw = np.zeros((32, 64), bool)
    mask_hw[4 : 4 + height, left : left + width] = True
    return shown(mask_hw)


def sees_a_change(*masks):
    watch = Watch()
    for t, mask in enumerate(masks):
        watch.see(t, mask)
    return watch.has_changed(len(masks))


def test_a_mask_that_moves_bit_by_bit_agrees_wherever_it_gets():
    assert not sees_a_change(*(box(left) for left in range(0, 54, 5)))


def test_a_mask_that_grows_bit_by_bit_agrees_up_to_twice_its_size():
    growing = [box(0, width) for width in range(10, 22)]
    assert not sees_a_change(*growing[:11])
    assert sees_a_change(*growing)


def test_a_mask_that_turns_on_its_side_has_another_shape():
    assert sees_a_change(box(0, 21, 5), box(0, 5, 21))


def test_what_has_no_mask_to_show_is_no_change():
    assert not sees_a_change(box(0), Shown(query(1), LOST), box(0))
