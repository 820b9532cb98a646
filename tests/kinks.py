"""What rounding can do to a gradient: it decides the sign of a ReLU's input that is nearly 0.

The slope there is 0 or 1, and whatever depends on it jumps. Two float32 runs of the same function
(other machines, other orders of a sum) then differ by far more than their rounding, and neither is
wrong. Here it is said how far.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# An input within so many standard deviations of its rounding has no sign of its own.
DEVIATIONS = 4.0
RELU = ("relu", "relu_")


class Slopes(TorchDispatchMode):
    """Keeps the input of every ReLU; in the backward pass some have a slope that is given.

    Attributes:
        inputs: of each call of a ReLU, in order.
    """

    def __init__(self, given: Sequence[Tensor] = (), undecided: Sequence[Tensor] = ()) -> None:
        """`given`: slopes 0 or 1 where `undecided` is true, of each call."""
        super().__init__()
        self.inputs: list[Tensor] = []
        self._given = list(zip(given, undecided, strict=True))
        self._outputs: list[Tensor] = []  # kept, so that no other tensor gets their memory

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        before = args[0].detach().clone() if name in RELU else None
        result = function(*args, **(kwargs or {}))
        if before is not None:
            self.inputs.append(before)
            self._outputs.append(result)
        if name == "threshold_backward" and self._given:
            gradient, output = args[:2]
            slope, undecided = self._given[self._call(output)]
            result = torch.where(undecided, gradient * slope, result)
        return result

    def _call(self, output: Tensor) -> int:
        return [one.data_ptr() for one in self._outputs].index(output.data_ptr())


def undecided(rounded: Sequence[Tensor], exact: Sequence[Tensor]) -> list[Tensor]:
    """Of every ReLU's inputs, which have a sign by rounding alone: bool, as `exact`.

    `rounded` and `exact` are the inputs in float32 and in float64.
    """
    found = []
    for one, other in zip(rounded, exact, strict=True):
        deviation = (one.double() - other).square().mean().sqrt()
        found.append(other.abs() < DEVIATIONS * deviation)
    return found


def slopes(masks: Sequence[Tensor], draws: int) -> list[list[Tensor]]:
    """Ways in which rounding can decide: all 1, all 0, and `draws` by lot; 0/1 in float64."""
    generator = torch.Generator().manual_seed(0)
    ways = [[torch.full(m.shape, way, dtype=torch.double) for m in masks] for way in (1.0, 0.0)]
    for _ in range(draws):
        ways.append([torch.rand(m.shape, generator=generator).round().double() for m in masks])
    return ways
