"""Questions in words on a stream: answered one after the other, beside its groundings."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from virst_model.answer import MOST_QUESTIONS, Question, Reply
from virst_model.model.virst import Virst
from virst_model.stream.grounder import (
    InlineGrounder,
    StreamError,
    ThreadGrounder,
    clip_tokens,
)
from virst_model.stream.speech import Speech
from virst_model.stream.window import Clip, Window


class Answering:
    """One question, from its snapshot of the window to its end.

    Attributes:
        question: as it was asked.
        ended: nothing is left to do.
    """

    def __init__(self, model: Virst, question: Question, clips: Sequence[Clip]) -> None:
        """Tells that it begins."""
        self.question = question
        self.ended = False
        self._model = model
        self._clips = clips
        self._text = ""
        self._pieces = self._make_pieces()
        self._tell()

    def go_on(self) -> bool:
        """On the grounder's thread: the tokens of a clip that has none, or a word's token more.

        Whether there is another. What the model raises is told.
        """
        if self.question.cancelled.is_set():
            self.ended = True
        else:
            self._do_a_piece()
        if self.ended:
            self._pieces.close()  # and with it what the language model has kept
        return not self.ended

    def _do_a_piece(self) -> None:
        try:
            with torch.inference_mode():
                next(self._pieces)
        except Exception as error:  # of one question; the stream has nothing to do with it
            self.ended = True
            self._tell(error)

    def _make_pieces(self) -> Iterator[None]:
        question = self.question
        for clip in self._clips:
            if clip.tokens is None:
                clip.see(self._model)
                yield
        tokens = clip_tokens(self._model, self._clips, question.cancelled)
        speech = Speech(self._model, tokens, question.text, question.max_tokens)
        while not speech.ended:
            speech.go_on()
            self._text, self.ended = speech.text, speech.ended
            self._tell()
            yield

    def _tell(self, error: Exception | None = None) -> None:
        first, last = self._clips[0].frames[0], self._clips[-1].frames[-1]
        self.question.tell(Reply(self._text, first.stamp_s, last.stamp_s, self.ended, error))


class Questions:
    """Those of one stream. All methods are called on the tracker's thread."""

    def __init__(self, model: Virst, grounder: InlineGrounder | ThreadGrounder) -> None:
        """`grounder`: works on the answers."""
        self._model = model
        self._grounder = grounder
        self._waiting: deque[Question] = deque()
        self._answering: Answering | None = None

    def ask(self, question: Question) -> None:
        """Takes a question, to be answered when those before it are.

        Raises:
            StreamError: the model was not taught to answer, or MOST_QUESTIONS are there.
        """
        if not self._model.config.answers:
            raise StreamError(
                'the model has not learned to answer in words ("answers" in its config.json is '
                "false): give weights that have"
            )
        self._drop_what_is_over()
        if len(self._waiting) + (self._answering is not None) >= MOST_QUESTIONS:
            raise StreamError(f"{MOST_QUESTIONS} questions are there already: ask again later")
        self._waiting.append(question)

    @property
    def waiting(self) -> bool:
        """Whether a question needs the window."""
        self._drop_what_is_over()
        return bool(self._waiting) and self._answering is None

    def begin(self, window: Window) -> None:
        """Takes a snapshot of the window for the question whose turn it is, where there is one.

        It waits until none of the window's frames is kept as an image: an idle stream's are.
        """
        clips = window.snapshot() if self.waiting and window.is_encoded else ()
        if clips:
            self._answering = Answering(self._model, self._waiting.popleft(), clips)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """A frame: answers give way to it, and go on afterwards."""
        self._grounder.pause()
        try:
            yield
        finally:
            if self._answering is not None and not self._answering.ended:
                self._grounder.work(self._answering)

    def close(self) -> None:
        """Cancels them all."""
        for question in self._waiting:
            question.cancelled.set()
        if self._answering is not None:
            self._answering.question.cancelled.set()
        self._drop_what_is_over()

    def _drop_what_is_over(self) -> None:
        self._waiting = deque(q for q in self._waiting if not q.cancelled.is_set())
        answering = self._answering
        if answering is not None and (answering.ended or answering.question.cancelled.is_set()):
            self._answering = None
