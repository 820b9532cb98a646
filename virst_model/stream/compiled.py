"""The work of every frame as compiled code, or as it is where it cannot be compiled."""

from collections.abc import Callable
import logging
from typing import Any

import numpy as np
import torch

from virst_model.config import ST_TOKENS, VirstConfig, with_alpha
from virst_model.model.memory import Memory
from virst_model.model.tracking import rehearse
from virst_model.model.virst import Virst

# Of the segmenter: an image encoder, two decoders and a memory encoder.
PARTS = ("encode", "decode_prompted", "decode_tracked", "encode_memory")

REASON = 300  # characters; compilers tell long stories

_log = logging.getLogger(__name__)


class Compiled:
    """A method that is compiled when it is first called; for good as it was if that fails."""

    def __init__(self, method: Callable, backend: str | Callable) -> None:
        self._plain = method
        self._fast: Callable | None = torch.compile(method, backend=backend)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the method returns; raises what the method itself raises."""
        if self._fast is None:
            return self._plain(*args, **kwargs)
        try:
            return self._fast(*args, **kwargs)
        except Exception as error:  # compilers raise of all kinds
            # What is wrong with the arguments is said here, and is no reason to stop compiling.
            answer = self._plain(*args, **kwargs)
            self._fast = None
            reason = " ".join(str(error).split()) or type(error).__name__
            name = self._plain.__name__
            _log.warning("%s runs without compilation: %s", name, reason[:REASON])
            return answer


def compile_frames(
    model: Virst, backend: str | Callable = "inductor", alpha: int | None = None
) -> Virst:
    """Compiles what runs for every frame, in place; the language model stays as it is.

    Shapes are fixed, but for the number of queries: a second number is compiled once more, for
    any number; so would a second alpha be, in the middle of a stream. Compiling takes a minute or
    two (100 s on two cores, 11 s when the compiler's cache has it), here and not with the first
    frames; what cannot be compiled runs as it did, and a warning says so.

    Args:
        backend: torch.compile's.
        alpha: anchors that a frame reads, as the `Session` will have it; None is the model's own.
    """
    for name in PARTS:
        setattr(model.segmenter, name, Compiled(getattr(model.segmenter, name), backend))
    _run_once(model, with_alpha(model.config, alpha))
    return model


@torch.inference_mode()
def _run_once(model: Virst, config: VirstConfig) -> None:
    """Everything that a frame calls, for one query and for two."""
    side, width = model.config.segmenter.side, model.config.segmenter.dim
    features = model.encode_frame(np.zeros((side, side, 3), np.uint8))
    prompts_NC = torch.zeros(ST_TOKENS, width, device=model.device, dtype=model.dtype)
    for queries in (1, 2):
        rehearse(model, features, prompts_NC, Memory(config), queries)
