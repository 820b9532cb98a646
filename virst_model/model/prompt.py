"""The conversation in which a sentence is put to the language model.

The answer, with its ten [ST] tokens, is given and not generated: one forward pass (Sec. 3.2).
A question in words (D.3) has an answer in words, which is generated. Template texts are those of
the released code, so that released weights see what they know (docs/released.md, facts 6-8).
"""

from dataclasses import dataclass
import random

from tokenizers import Tokenizer
import torch

from virst_model.config import ST_TOKENS

IMAGE = -200  # stands for the visual tokens
IGNORE = -100  # label of a token that is not learned
START, END, ST = "<|im_start|>", "<|im_end|>", "[SEG]"

QUESTIONS = (
    "What is {sentence} in the Reference {modality}? "
    "Please respond with segmentation mask in the Target Image.",
    "What is {sentence} in the Reference {modality}? "
    "Please output segmentation mask in the Target Image.",
    "Please find {sentence} in the Reference {modality} and segment it in the Target Image.",
)
LONG_QUESTIONS = (
    "{sentence} Please find it in the Reference {modality} "
    "and respond with segmentation mask in the Target Image.",
    "{sentence} Please find it in the Reference {modality} "
    "and output segmentation mask in the Target Image.",
)
ANSWERS = (
    "It is {st}.",
    "Sure, {st}.",
    "Sure, it is {st}.",
    "Sure, the segmentation result is {st}.",
)


def plain_sentence(text: str) -> str:
    """`text` lower-cased, its white space collapsed, as in the release's evaluation (fact 6)."""
    return " ".join(text.lower().split())


def draw_wording(sentence: str, seed: int) -> tuple[int, int]:
    """Places of a question and an answer template by lot, as the release draws them (fact 6).

    The same for the same seed; `sentence` only says which questions there are.
    """
    rng = random.Random(seed)
    questions = LONG_QUESTIONS if sentence.rstrip().endswith("?") else QUESTIONS
    return rng.randrange(len(questions)), rng.randrange(len(ANSWERS))


@dataclass(frozen=True)
class Prompt:
    """Token ids (L,) with one `IMAGE` place, and labels (L,) to learn; `IGNORE` elsewhere.

    The ten [ST] tokens are in `ids` but not in `labels`. Of an answer in words, the first is at
    `reply_at`.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    reply_at: int = 0

    @property
    def image_at(self) -> int:
        """Where the visual tokens go: the place of `IMAGE`."""
        return int((self.ids == IMAGE).nonzero()[0])


def question_ids(tokenizer: Tokenizer, question: str) -> torch.Tensor:
    """Token ids (L,) with one `IMAGE`, up to where the assistant begins to speak.

    The question is data: special tokens in it are tokenised as plain characters (a `Prompter` on
    the tokenizer sees to that). It is lower-cased, as the release does.
    """
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)

    def plain(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False).ids

    newline = plain("\n")
    system = [start, *plain("system\nYou are a helpful assistant."), end, *newline]
    before = [start, *plain("user\nReference Video: ")]
    after = [*plain(f"\n{plain_sentence(question)}"), end, *newline]
    return torch.tensor([*system, *before, IMAGE, *after, start, *plain("assistant\n")])


class Prompter:
    """Turns sentences into prompts with one tokenizer.

    Text from outside is data: special tokens inside a sentence are tokenised as plain characters.
    """

    def __init__(self, tokenizer: Tokenizer, modality: str = "video") -> None:
        """Raises ValueError when the tokenizer lacks a token that the conversation needs."""
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._modality = modality
        self._special = {}
        for token in (START, END, ST):
            number = tokenizer.token_to_id(token)
            if number is None:
                raise ValueError(f"the tokenizer has no token {token!r}")
            self._special[token] = number
        self._newline = self._plain("\n")

    @property
    def st_id(self) -> int:
        """Id of the [ST] token, which stands ten times in each answer (fact 7)."""
        return self._special[ST]

    def ask(self, sentence: str, question: int = 0, answer: int = 0) -> Prompt:
        """The conversation about one sentence; one that ends in "?" is a question of its own.

        Args:
            sentence: as `plain_sentence` gives it.
            question, answer: which of the templates; `draw_wording` draws them.
        """
        templates = LONG_QUESTIONS if sentence.endswith("?") else QUESTIONS
        before, after = templates[question].split("{sentence}")
        text = before + sentence + after.replace("{modality}", self._modality)
        start, end = [self._special[START]], [self._special[END], *self._newline]
        system = self._plain("system\nYou are a helpful assistant.")
        role = self._plain(f"user\nReference {self._modality}: ")
        before_image = start + system + end + start + role
        after_image = self._plain(" \n" + text) + end
        reply = start + self._answer(ANSWERS[answer]) + end
        kept = {*start, *end}
        labels = [t if t in kept else IGNORE for t in before_image]
        labels += [IGNORE] + [t if t in kept else IGNORE for t in after_image]
        labels += [t if t != self.st_id else IGNORE for t in reply]
        ids = [*before_image, IMAGE, *after_image, *reply]
        return Prompt(torch.tensor(ids), torch.tensor(labels))

    def tell(self, question: str, answer: str) -> Prompt:
        """The conversation about a question whose answer is in words, to learn from."""
        before_reply = question_ids(self._tokenizer, question)
        role = len(self._plain("assistant\n"))
        reply = torch.tensor([*self._plain(answer), self._special[END], *self._newline])
        kept = torch.tensor([self._special[START], self._special[END], *self._newline])
        learned = torch.isin(before_reply, kept)
        learned[-role:] = True
        labels = torch.where(learned, before_reply, IGNORE)
        ids, labels = torch.cat([before_reply, reply]), torch.cat([labels, reply])
        return Prompt(ids, labels, len(before_reply))

    def _answer(self, template: str) -> list[int]:
        before, after = template.split("{st}")
        tokens = []
        for index in range(ST_TOKENS):
            lead = f"assistant\n{before}" if index == 0 else ", "
            tokens += [*self._plain(f"{lead}({index}) "), self.st_id]
        return tokens + self._plain(after)

    def _plain(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids
