"""The weights in the package: there, small, and following sentences."""

import numpy as np
import pytest

from virst_model import load
from virst_model.answer import TRACKING, Query
from virst_model.checkpoints.load import TINY
from virst_model.evaluate.metrics import region
from virst_model.evaluate.synthetic import SyntheticRun, evaluate
from virst_model.stream.options import SessionOptions
from virst_model.stream.session import Session
from virst_model.synthetic.scenes import DEMO_QUERIES, demo_scene
from virst_model.train.vocabulary import known_words

MEGABYTE = 1e6


@pytest.fixture(scope="module")
def model():
    return load()


def test_packaged_weights_are_small_and_have_a_model_card():
    sizes = [file.stat().st_size for file in TINY.iterdir()]
    assert sum(sizes) < 40 * MEGABYTE
    assert (TINY / "MODEL_CARD.md").exists()


def test_config_lists_the_words_that_the_model_knows(model):
    assert set(model.config.known_words) == set(known_words())


@pytest.mark.parametrize("query", DEMO_QUERIES)
def test_the_demos_queries_are_found_in_its_scene(model, query):
    scene = demo_scene()
    wanted = scene.answer(query)
    ious = []
    with Session(model, SessionOptions(sync=True, grounding_delay_frames=1)) as session:
        session.set_queries((Query(1, query, 1),))
        for t in range(30):
            frame, ids = scene.render(t / 10, 240, 320)
            result = session.step(frame, t / 10).results[0]
            if result.state == TRACKING:
                ious.append(region(np.isin(ids, wanted)[None], result.mask_HW[None])[0])
    assert len(ious) > 10
    assert np.mean(ious) > 0.5  # what the demo asks for


@pytest.mark.slow
def test_held_out_scenes_are_followed_by_sentence(model):
    results = evaluate(model, SyntheticRun("scenes", "valid", videos=8, frames=40))

    # Eight short videos scatter by some ten points around the figures of MODEL_CARD.md.
    assert results["rows"]["colour_shape"]["J&F"] > 55
    assert results["rows"]["overall"]["J&F"] > 45
    assert results["events"]["swaps followed"][0] > 70
