"""virst ask VIDEO --question "what is moving?": an answer in words.

Needs weights that were taught to answer (the packaged ones know only where things are) and
refuses others. Source: arXiv 2603.27060, D.3; the wording is that of the released video question
answering data.
"""

from collections.abc import Sequence
import sys

import torch

from virst_model.arguments import Parser, sentence, whole
from virst_model.checkpoints.options import add_model_options, load_model, set_up_logging
from virst_model.errors import UsageError, program
from virst_model.model.features import VisualTokens
from virst_model.model.prompt import END, question_ids
from virst_model.model.virst import Virst
from virst_model.offline.video import clip_tokens
from virst_model.sources.named import add_source, open_recorded

# Also ends an answer, where the tokenizer has it (Qwen2).
END_OF_TEXT = "<|endoftext|>"
MAX_NEW_TOKENS = 256


@torch.inference_mode()
def answer(
    model: Virst,
    clips: Sequence[VisualTokens],
    question: str,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> str:
    """Greedy answer, token by token, by transformers' `generate` with its key-value cache.

    Args:
        clips: visual tokens of the video, from `clip_tokens`.
        question: as the person wrote it.
        max_new_tokens: most tokens of the answer, the end token among them.

    Raises:
        ValueError: question and answer exceed the language model's context.
    """
    ids = question_ids(model.tokenizer, question).to(model.device)
    embeds_LD = model.vlm.embed(ids, model.join_clips(clips).sequence)
    most = model.config.llm.max_length
    if len(embeds_LD) + max_new_tokens > most:
        raise ValueError(
            f"the question ({len(embeds_LD)} tokens with the video) and {max_new_tokens} new "
            f"tokens exceed the language model's {most}"
        )
    ends = [model.tokenizer.token_to_id(token) for token in (END, END_OF_TEXT)]
    new = model.vlm.llm.generate(
        inputs_embeds=embeds_LD[None],
        attention_mask=torch.ones(1, len(embeds_LD), dtype=torch.long, device=model.device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        use_cache=True,
        eos_token_id=[token for token in ends if token is not None],
        pad_token_id=ends[0],
    )
    return model.tokenizer.decode(new[0].tolist(), skip_special_tokens=True).strip()


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
    except ValueError as error:
        raise UsageError(f"--question: {error}") from None
    sys.stdout.write(f"{words}\n")
    return 0
