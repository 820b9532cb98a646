"""An answer in words in the making, token by token. Source: arXiv 2603.27060, D.3."""

from collections.abc import Sequence

from tokenizers import Tokenizer

from virst_model.answer import MAX_NEW_TOKENS
from virst_model.errors import InputError
from virst_model.model.features import VisualTokens
from virst_model.model.prompt import END, question_ids
from virst_model.model.virst import Virst
from virst_model.queries.nearby_words import unknown_words
from virst_model.stream.host import to_host

# Also ends an answer, where the tokenizer has it (Qwen2).
END_OF_TEXT = "<|endoftext|>"
# What questions speak of, beside what sentences do, which `known_words` are of.
OF_QUESTIONS = ("video",)
# What a tokenizer writes for bytes that are no character, or not yet.
BROKEN = "\ufffd"


class QuestionError(InputError, ValueError):
    """The model cannot answer this question; `str()` is one line."""


class TooLongError(QuestionError):
    """Question and answer exceed the language model's context."""


def end_ids(tokenizer: Tokenizer) -> set[int]:
    """The tokens that end an answer."""
    ends = (tokenizer.token_to_id(token) for token in (END, END_OF_TEXT))
    return {token for token in ends if token is not None}


class Speech:
    """Greedy decoding with a key-value cache. The caller is in inference mode.

    Attributes:
        ended: nothing more comes: it is whole, or has as many tokens as it may have.
    """

    def __init__(
        self,
        model: Virst,
        clips: Sequence[VisualTokens],
        question: str,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> None:
        """Reads nothing yet.

        Args:
            clips: visual tokens of the video, in the order of time.
            question: as the person wrote it.
            max_new_tokens: most tokens of the answer, the end token among them.

        Raises:
            QuestionError: the model was not trained on words of it: what it said would be a guess.
            TooLongError: as it says.
        """
        known = model.config.known_words
        unknown = unknown_words(question, {*known, *OF_QUESTIONS} if known else ())
        if unknown:
            raise QuestionError(f"the model cannot answer: it was not trained on: {unknown}")
        ids = question_ids(model.tokenizer, question)
        embeds_LD = model.vlm.embed(ids, model.join_clips(clips).sequence)
        most = model.config.llm.max_length
        if len(embeds_LD) + max_new_tokens > most:
            raise TooLongError(
                f"the question ({len(embeds_LD)} tokens with the video) and {max_new_tokens} new "
                f"tokens exceed the language model's {most}"
            )
        self.ended = False
        self._tokenizer = model.tokenizer
        self._ends = end_ids(model.tokenizer)
        self._next = model.vlm.speak(embeds_LD[None])
        self._left = max_new_tokens
        self._said: list[int] = []

    def go_on(self) -> None:
        """One token more; the first one reads the conversation."""
        (token_1,) = to_host([next(self._next)])
        token = int(token_1[0])
        self._left -= 1
        if token not in self._ends:
            self._said.append(token)
        self.ended = token in self._ends or not self._left

    @property
    def text(self) -> str:
        """The answer so far; without the beginning of a character that is not whole yet."""
        text = self._tokenizer.decode(self._said, skip_special_tokens=True).strip()
        return text if self.ended else text.rstrip(BROKEN)
