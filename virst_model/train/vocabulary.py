"""The tiny preset's words: byte-level BPE, so that any text has ids; and how a model gets more."""

from collections.abc import Iterator
import dataclasses
import functools
import re

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
import torch

from virst_model.checkpoints.load import build
from virst_model.model.prompt import ANSWERS, END, LONG_QUESTIONS, QUESTIONS, ST, START
from virst_model.model.virst import Virst
from virst_model.synthetic.grammar import KNOWN_WORDS
from virst_model.synthetic.scenes import make_scene
from virst_model.synthetic.stories import make_story
from virst_model.synthetic.wordings import WORDS

SPECIAL = ("<|endoftext|>", START, END, ST)
VOCAB = 1024  # the words of scenes and stories, and pieces for others
TABLES = ("vlm.llm.model.embed_tokens.weight", "vlm.llm.lm_head.weight")


def known_words() -> tuple[str, ...]:
    """Every word that is said of scenes and stories, in alphabetical order."""
    sentences = (text for text, _ in _corpus_pairs())
    words = {word for text in sentences for word in re.findall(r"[^\W_]+", text.lower())}
    return tuple(sorted(words | {*KNOWN_WORDS, *WORDS}))


def train_tokenizer(vocab: int = VOCAB) -> Tokenizer:
    """A tokenizer in which every word of scenes and stories, after a space, is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    return tokenizer


def teach_words(model: Virst) -> Virst:
    """The same weights in a model that knows all words of scenes and stories.

    A word that is new begins as the mean of the pieces that it was read in.
    """
    new = train_tokenizer()
    if new.get_vocab() == model.tokenizer.get_vocab():
        return model
    llm = dataclasses.replace(model.config.llm, vocab=VOCAB)
    config = dataclasses.replace(model.config, llm=llm, known_words=known_words())
    state = model.state_dict()
    taught = build(config, tokenizer=new)
    fresh = taught.state_dict()
    for name in TABLES:
        state[name] = _rows(state[name], fresh[name], model.tokenizer, new)
    taught.load_state_dict(state)
    return taught


def _rows(
    known_VD: torch.Tensor, fresh_VD: torch.Tensor, old: Tokenizer, new: Tokenizer
) -> torch.Tensor:
    rows = fresh_VD.clone()
    for token, number in new.get_vocab().items():
        same = old.token_to_id(token)
        pieces = [same] if same is not None else old.encode(new.decode([number])).ids
        if pieces:
            rows[number] = known_VD[pieces].float().mean(dim=0).to(rows.dtype)
    return rows


@functools.cache
def _corpus_pairs(count: int = 500) -> tuple[tuple[str, str], ...]:
    """Sentences and questions of `count` scenes and stories, with their answers."""
    return tuple(_pairs(count))


def _pairs(count: int) -> Iterator[tuple[str, str]]:
    for seed in range(count):
        for scene in (make_scene(seed, "train"), make_story(seed, "train")):
            for sentence in scene.sentences(np.random.default_rng(seed)):
                yield sentence.text, ""
        for question in scene.questions():
            yield question.text, question.answer


def _corpus() -> list[str]:
    texts = [" " + word for word in KNOWN_WORDS] * 50
    texts += [" " + word for word in known_words()] * 20
    texts += [" " + text.lower() for pair in _corpus_pairs() for text in pair]
    prompts = [*QUESTIONS, *LONG_QUESTIONS, *ANSWERS]
    prompts += ["system\nYou are a helpful assistant.", "user\nReference video: ", " \n"]
    prompts += ["assistant\n", ", (1) ", "(0) "]
    return texts + prompts * 20
