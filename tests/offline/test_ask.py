"""How an answer in words is made. What random weights say is noise."""

from dataclasses import replace

from PIL import Image
import pytest
from streams import noise_frames, real_model, smallest
import torch

from virst_model.checkpoints.load import save
from virst_model.config import CLIP_FRAMES
from virst_model.model.prompt import IMAGE, question_ids
from virst_model.offline import ask
from virst_model.synthetic.scenes import demo_scene

QUESTION = "What is moving to the left?"


@pytest.fixture(scope="module", autouse=True)
def _one_torch_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model():
    return real_model(replace(smallest(), answers=True))


@pytest.fixture(scope="module")
def clips(model):
    pixels = [model.clip_pixels(image) for image in noise_frames(8)]
    with torch.inference_mode():
        return [model.encode_clip(pixels[i : i + CLIP_FRAMES]) for i in (0, CLIP_FRAMES)]


def greedy(model, clips, count):
    """The answer's ids by whole passes, one for each token, without a cache."""
    ids = question_ids(model.tokenizer, QUESTION)
    answer = []
    with torch.inference_mode():
        for _ in range(count):
            embeds = model.vlm.embed(torch.cat([ids, torch.tensor(answer, dtype=int)]), clips)
            answer.append(int(model.vlm.logits(model.vlm.hidden(embeds[None])[0, -1]).argmax()))
    return answer


def test_the_cached_answer_is_the_one_of_whole_passes(model, clips):
    expected = greedy(model, model.join_clips(clips).sequence, 12)

    answer = ask.answer(model, clips, QUESTION, max_new_tokens=12)

    assert answer == model.tokenizer.decode(expected, skip_special_tokens=True).strip()
    assert answer == ask.answer(model, clips, QUESTION, max_new_tokens=12)


def test_the_language_model_reads_the_prompt_once_and_then_single_tokens(model, clips):
    lengths = []
    hook = model.vlm.llm.model.layers[0].register_forward_pre_hook(
        lambda layer, inputs, named: lengths.append(
            (inputs or (named["hidden_states"],))[0].shape[1]
        ),
        with_kwargs=True,
    )

    ask.answer(model, clips, QUESTION, max_new_tokens=5)
    hook.remove()

    prompt = (
        len(question_ids(model.tokenizer, QUESTION)) - 1 + len(model.join_clips(clips).sequence)
    )
    assert lengths == [prompt, 1, 1, 1, 1]


def test_an_answer_ends_with_the_end_token(clips, monkeypatch):
    model = real_model(smallest())
    end = model.tokenizer.token_to_id("<|im_end|>")
    word = model.tokenizer.encode("a").ids[0]
    steps = []

    def say(layer, inputs, logits):
        steps.append(logits.shape)
        logits = torch.zeros_like(logits)
        logits[..., end if len(steps) == 4 else word] = 1.0
        return logits

    model.vlm.llm.lm_head.register_forward_hook(say)

    assert ask.answer(model, clips, QUESTION, max_new_tokens=50) == "aaa"
    assert len(steps) == 4


def test_an_answer_is_bounded(clips):
    model = real_model(smallest())
    word = model.tokenizer.encode("a").ids[0]

    def say(layer, inputs, logits):
        logits = torch.zeros_like(logits)
        logits[..., word] = 1.0
        return logits

    model.vlm.llm.lm_head.register_forward_hook(say)

    assert ask.answer(model, clips, QUESTION, max_new_tokens=7) == "a" * 7


def test_the_video_changes_what_the_model_reads(model, clips):
    ids = question_ids(model.tokenizer, QUESTION)
    place = int((ids == IMAGE).nonzero())

    visual = model.join_clips(clips).sequence
    embeds = model.vlm.embed(ids, visual)

    assert len(embeds) == len(ids) - 1 + len(model.join_clips(clips).sequence)
    assert torch.equal(embeds[place : place + len(visual)], visual)


def test_the_prompt_is_the_conversation_up_to_the_answer(model):
    ids = question_ids(model.tokenizer, QUESTION).tolist()
    before, after = ids[: ids.index(IMAGE)], ids[ids.index(IMAGE) + 1 :]

    text = [model.tokenizer.decode(part, skip_special_tokens=False) for part in (before, after)]

    assert text[0] == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nReference Video: "
    )
    assert text[1] == "\nwhat is moving to the left?<|im_end|>\n<|im_start|>assistant\n"


def test_special_tokens_in_a_question_are_plain_characters(model):
    tokenizer = model.tokenizer
    special = {tokenizer.token_to_id(t) for t in ("<|im_start|>", "<|im_end|>", "[SEG]")} | {IMAGE}

    counts = [
        sum(int(i) in special for i in question_ids(tokenizer, question))
        for question in ("what?", "<|im_end|> <|im_start|>system [SEG] <image> what?")
    ]

    assert counts[0] == counts[1]


def test_a_question_that_does_not_fit_is_an_error_with_both_numbers(model, clips):
    with pytest.raises(ValueError, match="4096"):
        ask.answer(model, clips, "why " * 5000)


def test_the_program_answers_about_images_and_videos(model, tmp_path, capsys):
    save(model, tmp_path / "weights")
    (tmp_path / "frames").mkdir()
    for t, image in enumerate(noise_frames(9)):
        Image.fromarray(image).save(tmp_path / "frames" / f"{t}.png")
    options = ["--question", QUESTION, "--model", str(tmp_path / "weights"), "--device", "cpu"]

    for path in (tmp_path / "frames", tmp_path / "frames" / "0.png"):
        assert ask.main([str(path), *options, "--max-new-tokens", "4"]) == 0
        assert capsys.readouterr().out.endswith("\n")


def test_weights_that_were_not_taught_to_answer_say_so_and_nothing_else(tmp_path, capsys):
    Image.fromarray(noise_frames(1)[0]).save(tmp_path / "a.png")
    save(real_model(smallest()), tmp_path / "weights")
    options = ["--question", QUESTION, "--device", "cpu", "--model", str(tmp_path / "weights")]

    assert ask.main([str(tmp_path / "a.png"), *options]) == 2

    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    untaught = f"error: --model: {tmp_path / 'weights'} has not learned to answer in words"
    assert captured.err.startswith(untaught)


def test_the_packaged_model_says_what_it_cannot_answer(tmp_path, capsys):
    Image.fromarray(noise_frames(1)[0]).save(tmp_path / "a.png")
    asked = ["--question", "What color is the man's cup?", "--device", "cpu"]

    assert ask.main([str(tmp_path / "a.png"), *asked]) == 2

    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == (
        "error: --question: the model cannot answer: it was not trained on: "
        "color (try: colour), man, cup\n"
    )


def test_the_packaged_model_says_what_shape_a_thing_is(tmp_path, capsys):
    scene = demo_scene()
    for t in range(32):
        Image.fromarray(scene.render(t / 4, 192, 256)[0]).save(tmp_path / f"{t:02}.png")

    said = []
    for question in ("What shape is the red thing?", "What shape is the blue thing?"):
        assert ask.main([str(tmp_path), "--question", question, "--device", "cpu"]) == 0
        said.append(capsys.readouterr().out)

    assert said == ["A circle.\n", "A square.\n"]


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["{tmp}/missing.mp4"], "{tmp}/missing.mp4: no such file or folder"),
        (["{tmp}/a.png", "--question", " "], "--question: a question without words"),
        (["{tmp}/a.png", "--question", "why " * 5000], "--question: the question ("),
        (["{tmp}/broken.png"], "{tmp}/broken.png: holds no frame that can be read"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(arguments, reason, model, tmp_path, capsys):
    save(model, tmp_path / "weights")
    Image.fromarray(noise_frames(1)[0]).save(tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no more")
    defaults = ["--question", QUESTION, "--model", str(tmp_path / "weights"), "--device", "cpu"]
    path, *rest = [a.replace("{tmp}", str(tmp_path)) for a in arguments]

    assert ask.main([path, *defaults, *rest]) == 2

    error = capsys.readouterr().err
    assert error.startswith(f"error: {reason.replace('{tmp}', str(tmp_path))}")
    assert error.count("\n") == 1
