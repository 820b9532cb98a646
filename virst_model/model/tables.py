"""Tables that are made once: what depends on sizes or on weights alone, not on what is seen.

Each call of a frame would else make its positions and angles anew: small operators, of which a
device sees little but their number. Tables belong to no module: no file holds them.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

import torch
from torch import Tensor

KEPT = 64  # of one kind; a program has a few, one more for each length of a window


def table(make: Callable[..., Any]) -> Callable[..., Any]:
    """`make` of hashable arguments; what it made is kept for the next call with the same ones.

    The tensors are ordinary ones, wherever the first call is made: those of inference mode could
    not be trained with later. While a compiler or an exporter traces, `make` itself runs, since
    what it makes then are no tensors to keep. Nobody writes into a table.
    """

    @lru_cache(maxsize=KEPT)
    def kept(*arguments: Any) -> Any:
        with torch.inference_mode(False), torch.no_grad():
            return make(*arguments)

    @wraps(make)
    def look_up(*arguments: Any) -> Any:
        return make(*arguments) if is_traced() else kept(*arguments)

    return look_up


class WeightTable:
    """A table that is made of weights, kept for as long as they are what they were.

    It is made anew at each call while gradients of a weight are wanted, whose graph belongs to one
    step; while it is traced; and of weights that were made in inference mode, of which torch does
    not say whether they have changed.
    """

    def __init__(self, make: Callable[..., Tensor]) -> None:
        """`make(weights, *sizes)`, of a tuple of weights and of hashable sizes."""
        self._make = make
        self._kept: dict[tuple, tuple[list, list, Tensor]] = {}

    def __call__(self, weights: tuple[Tensor, ...], *sizes: Any) -> Tensor:
        """What `make` makes of them; read only."""
        if is_traced() or any(map(_is_moving, weights)):
            return self._make(weights, *sizes)
        marks = [(w.data_ptr(), w._version, w.dtype, w.device, w.shape) for w in weights]
        known = self._kept.get(sizes)
        if known is not None and known[0] == marks:
            return known[2]
        with torch.inference_mode(False), torch.no_grad():
            made = self._make(weights, *sizes)
        # The weights' memory is held on to: nothing else can lie where they lay.
        self._kept[sizes] = marks, [w.untyped_storage() for w in weights], made
        return made


def is_traced() -> bool:
    """Whether a compiler or an exporter follows what is computed."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _is_moving(weight: Tensor) -> bool:
    return weight.is_inference() or (weight.requires_grad and torch.is_grad_enabled())
