"""virst ask VIDEO --question "what is moving?": an answer in words.

Needs weights that were taught to answer and refuses others. The packaged ones know questions
about colours, shapes, numbers, ways and whether something is there. Source: arXiv 2603.27060, D.3;
the wording is that of the released video question answering data.
"""

from collections.abc import Sequence
import sys

import torch

from virst_model.answer import MAX_NEW_TOKENS
from virst_model.arguments import Parser, sentence, whole
from virst_model.checkpoints.options import add_model_options, load_model, set_up_logging
from virst_model.errors import UsageError, program
from virst_model.model.features import VisualTokens
from virst_model.model.virst import Virst
from virst_model.offline.video import clip_tokens
from virst_model.sources.named import add_source, open_recorded
from virst_model.stream.speech import QuestionError, Speech


@torch.inference_mode()
def answer(
    model: Virst,
    clips: Sequence[VisualTokens],
    question: str,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> str:
    """The whole answer; arguments and errors as of `Speech`."""
    speech = Speech(model, clips, question, max_new_tokens)
    while not speech.ended:
        speech.go_on()
    return speech.text


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 2 where the input or an option cannot be used, said in one line."""
    parser = Parser(prog="virst ask", description=__doc__)
    add_source(parser)
    parser.add_argument(
        "--question", type=sentence, required=True, help="about the video, in words"
    )
    parser.add_argument("--max-new-tokens", type=whole(1), default=MAX_NEW_TOKENS, help="at most")
    add_model_options(parser)
    options = parser.parse_args(arguments)
    set_up_logging()
    if not options.question.strip():
        raise UsageError("--question: a question without words")
    frames = open_recorded(options.video, options.topic)
    model = load_model(options)
    if not model.config.answers:
        raise UsageError(
            f"--model: {options.model or 'the packaged model'} has not learned to answer in "
            'words ("answers" in its config.json is false); give a folder of weights that has'
        )
    clips = clip_tokens(model, frames, options.seed)
    try:
        words = answer(model, clips, options.question, options.max_new_tokens)
    except QuestionError as error:
        raise UsageError(f"--question: {error}") from None
    sys.stdout.write(f"{words}\n")
    return 0
