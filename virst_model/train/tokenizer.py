"""The tiny preset's tokenizer: byte-level BPE, so that any text has ids."""

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from virst_model.data.grammar import KNOWN_WORDS
from virst_model.data.synthetic import make_scene
from virst_model.prompt import ANSWERS, END, LONG_QUESTIONS, QUESTIONS, ST, START

SPECIAL = ("<|endoftext|>", START, END, ST)


def train_tokenizer(vocab: int, scenes: int = 400) -> Tokenizer:
    """A tokenizer in which every word of the synthetic language, after a space, is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(scenes), trainer)
    return tokenizer


def _corpus(scenes: int) -> list[str]:
    texts = [" " + word for word in KNOWN_WORDS] * 50
    for seed in range(scenes):
        scene = make_scene(seed, "train")
        sentences = scene.sentences(np.random.default_rng(seed))
        texts += [" " + sentence.text for sentence in sentences]
    prompts = [*QUESTIONS, *LONG_QUESTIONS, *ANSWERS]
    prompts += ["system\nYou are a helpful assistant.", "user\nReference video: ", " \n"]
    prompts += ["assistant\n", ", (1) ", "(0) "]
    return texts + prompts * 20
