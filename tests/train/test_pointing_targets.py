"""Where a sentence's target is, as training tells it, and sentences side by side."""

from dataclasses import replace
import math

import pytest
from streams import smallest
import torch

from virst_model.checkpoints.load import build
from virst_model.model.pointing import Pointed
from virst_model.train.batches import Batch, Frames, Sentences
from virst_model.train.pointing import find_targets, pointing_losses
from virst_model.train.prefix import converse, tell
from virst_model.train.reading import REPLY_WORDS, AnswerReads, reading, reply_places
from virst_model.train.trainee import checkpoint_activations

GRID, TOKENS = 4, 8


def truth(*boxes: tuple[int, int, int, int, int]) -> torch.Tensor:
    """(1, 1, 4, 32, 32): boxes of (frame, top, left, bottom, right)."""
    masks = torch.zeros(1, 1, 4, 32, 32, dtype=torch.uint8)
    for frame, top, left, bottom, right in boxes:
        masks[0, 0, frame, top:bottom, left:right] = 1
    return masks


def owners() -> torch.Tensor:
    """Each half of each frame is a token: the upper and the lower one."""
    rows = torch.arange(GRID)[:, None].expand(GRID, GRID) // (GRID // 2)
    return torch.cat([(2 * frame + rows).flatten() for frame in range(4)])[None, None]


def test_the_target_is_in_the_tokens_that_it_fills():
    targets = find_targets(truth((0, 0, 0, 16, 32)), owners(), TOKENS)

    assert targets.shares[0, 0].tolist() == [1.0] + [0.0] * TOKENS
    assert targets.visible[0, 0].tolist() == [True, False, False, False]


def test_a_target_that_is_nowhere_is_none_of_the_tokens():
    targets = find_targets(truth(), owners(), TOKENS)

    assert targets.shares[0, 0].tolist() == [0.0] * TOKENS + [1.0]


def test_a_target_too_small_for_any_token_is_the_one_that_has_most_of_it():
    targets = find_targets(truth((1, 30, 30, 31, 31)), owners(), TOKENS)

    assert targets.shares[0, 0].argmax() == 3 and targets.shares[0, 0].sum() == 1
    assert targets.visible[0, 0, 1]


def test_the_place_is_the_middle_of_the_target():
    targets = find_targets(truth((2, 8, 16, 16, 32)), owners(), TOKENS)

    assert targets.places[0, 0, 2].tolist() == [12 / 32, 24 / 32]


def test_pointing_at_the_target_costs_less_than_pointing_elsewhere():
    targets = find_targets(truth((0, 0, 0, 16, 32)), owners(), TOKENS)

    def cost(token: int, y: float, seen: float) -> dict[str, torch.Tensor]:
        logits = torch.full((1, 1, TOKENS + 1), -5.0)
        logits[0, 0, token] = 5.0
        places = torch.tensor([y, 0.5]).expand(1, 1, 4, 2)
        shown = torch.tensor([[[seen, -seen, -seen, -seen]]])
        return pointing_losses(Pointed(logits, places, shown, shown[:, 0, 0]), targets)

    right, wrong = cost(0, 0.25, 4.0), cost(5, 0.75, -4.0)
    for name in ("point", "place", "shown"):
        assert right[name] < wrong[name], name


@pytest.mark.parametrize("initial", [True, False])
def test_sentences_side_by_side_give_what_each_gives_alone(initial):
    config = smallest()
    model = build(replace(config, fusion=replace(config.fusion, initial=initial)), seed=2)
    visual = torch.randn(2, 12, config.llm.hidden)
    s2 = torch.randn(2, 3, config.segmenter.dim, config.segmenter.grid, config.segmenter.grid)
    texts = ("the red circle", "it", "all the blue shapes that move to the left")
    video = torch.tensor([1, 0, 1])
    prompts = [model.prompter.ask(text) for text in texts]

    with torch.no_grad():
        together = converse(model, visual, s2, prompts, video)
        for i, prompt in enumerate(prompts):
            own = int(video[i])
            states, hidden, labels = model.st_states([visual[own]], s2[own][None], [prompt])
            after = prompt.image_at + visual.shape[1]
            length = hidden.shape[1] - after
            near = {"atol": 1e-4, "rtol": 1e-4}
            assert torch.allclose(together.states[i], states[0], **near)
            assert torch.allclose(together.visual[own], hidden[0, prompt.image_at : after], **near)
            assert torch.allclose(together.hidden[i, :length], hidden[0, after:], **near)
            assert torch.equal(together.labels[i, :length], labels[0, after:])
            assert (together.labels[i, length:] < 0).all()
    assert not math.isnan(float(together.hidden.sum()))


def test_questions_side_by_side_give_what_each_gives_alone():
    model = build(smallest(), seed=2)
    visual = torch.randn(2, 12, model.config.llm.hidden)
    asked = (("is it red?", "Yes."), ("how many stars move to the left?", "Two."), ("why?", "No."))
    video = torch.tensor([1, 0, 1])
    prompts = [model.prompter.tell(*one) for one in asked]

    with torch.no_grad():
        hidden, labels, _ = tell(model, visual, prompts, video)
        for i, prompt in enumerate(prompts):
            alone, own = model.word_states([visual[video[i]]], [prompt])
            after = prompt.image_at + visual.shape[1]
            length = alone.shape[1] - after
            assert torch.allclose(hidden[i, :length], alone[0, after:], atol=1e-4, rtol=1e-4)
            assert torch.equal(labels[i, :length], own[0, after:])
            assert (labels[i, length:] < 0).all()


def test_what_is_read_for_answers_side_by_side_is_what_is_read_for_each_alone():
    model = build(smallest(), seed=2)
    visual = torch.randn(2, 12, model.config.llm.hidden)
    video = torch.tensor([1, 0, 1])
    answers = ("Yes.", "To the left.", "A star.")
    asked = zip(("is it red?", "why?", "who is?"), answers, strict=True)
    prompts = [model.prompter.tell(*one) for one in asked]
    places = reply_places(prompts)
    for prompt, answer, where in zip(prompts, answers, places, strict=True):
        said = model.tokenizer.encode(answer).ids[:REPLY_WORDS]
        follow = prompt.ids[prompt.image_at + 1 + where + 1].tolist()
        assert follow[: len(said)] == said

    with torch.no_grad():
        with reading(model) as noted:
            _, _, layout = tell(model, visual, prompts, video)
        beside = noted.weights_beside(layout, places)
        for i, prompt in enumerate(prompts):
            with reading(model) as noted:
                model.word_states([visual[video[i]]], [prompt])
            alone = noted.weights(len(visual[0]) + prompt.image_at + places[i][None])
            for mine, theirs in zip(beside, alone, strict=True):
                length = theirs.shape[-1]
                assert torch.allclose(mine[i, ..., :length], theirs[0], atol=1e-5)
                assert not mine[i, ..., length:].any()
                assert theirs.sum(dim=-1).allclose(torch.ones(()))


@pytest.mark.parametrize(
    "token, cheap", [(0, False), (1, False), (TOKENS, True), (TOKENS + 1, False)]
)
def test_an_answer_is_to_be_read_from_the_tokens_of_whom_it_is_about(token, cheap):
    frames = Frames(
        torch.empty(1, 0, 3, 32, 32),
        times=[],
        clips=torch.empty(1, 0, 4, 3, 0, 0),
        clip_frames=((0, 1, 2, 3), (4, 5, 6, 7)),
        window=[],
        anchors=[],
        tracked=[],
        stream=True,
    )
    sentences = Sentences(torch.tensor([0]), ("what shape?",), ((0, 0),), ("words",), ("A star.",))
    asked = torch.cat((truth(), truth((0, 0, 0, 16, 32))), dim=2)  # it comes in the second clip
    batch = Batch(frames, sentences, asked[:, 0])
    weight = torch.zeros(1, 2, REPLY_WORDS, 3 + 2 * TOKENS + 5)
    weight[..., 3 + token] = 1.0

    both = owners().expand(1, 2, -1)
    loss = AnswerReads([weight], slice(3, 3 + 2 * TOKENS), both).loss(batch)

    assert loss < 1e-3 if cheap else loss > 5


def test_gradients_side_by_side_are_those_of_each_alone_with_checkpointing_too():
    """What is computed again in the backward pass is computed in the same way."""
    config = smallest()
    texts, video = ("the red circle", "it", "all the blue shapes"), torch.tensor([0, 0, 0])
    visual = torch.randn(1, 12, config.llm.hidden)
    s2 = torch.randn(1, 3, config.segmenter.dim, config.segmenter.grid, config.segmenter.grid)

    def gradients(together: bool, checkpointing: bool) -> list[torch.Tensor]:
        model = build(config, seed=2).train()
        if checkpointing:
            checkpoint_activations(model.vlm.llm)
        prompts = [model.prompter.ask(text) for text in texts]
        if together:
            converse(model, visual, s2, prompts, video).states.square().sum().backward()
        else:
            for prompt in prompts:
                model.st_states([visual[0]], s2, [prompt])[0].square().sum().backward()
        return [layer.self_attn.q_proj.weight.grad for layer in model.vlm.llm.model.layers]

    alone = gradients(together=False, checkpointing=False)
    for checkpointing in (False, True):
        for own, side in zip(alone, gradients(True, checkpointing), strict=True):
            assert torch.allclose(own, side, atol=1e-4, rtol=1e-3) and own.abs().max() > 1e-3


def test_a_model_that_has_conversed_side_by_side_grounds_as_before():
    model = build(smallest(), seed=2)
    config, prompt = model.config, model.prompter.ask("the red circle")
    visual = [torch.randn(12, config.llm.hidden), torch.randn(7, config.llm.hidden)]
    s2 = torch.randn(2, 3, config.segmenter.dim, config.segmenter.grid, config.segmenter.grid)

    with torch.no_grad():
        before = model.st_states(visual, s2, [prompt] * 2)[0]
        converse(model, visual[0][None], s2[:1], [prompt], torch.tensor([0]))
        after = model.st_states(visual, s2, [prompt] * 2)[0]

    assert torch.allclose(before, after, atol=1e-5)
