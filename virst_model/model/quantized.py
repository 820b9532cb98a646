"""The language model's weights in eight bits: half the memory of bfloat16, masks a little other.

torch's own operators alone, so that it runs wherever the model does. (The libraries for it do the
same without special kernels, and each is built for some versions of torch and some devices.)
"""

import torch
from torch import Tensor, nn
import torch.nn.functional as F

LEVELS = 127  # on each side of 0


class Int8Linear(nn.Module):
    """A linear layer whose weights are whole numbers of -127..127 times a scale for each output.

    The input is not rounded; a call makes the layer's weights in the input's dtype, so that they
    need memory one layer at a time.
    """

    def __init__(self, linear: nn.Linear) -> None:
        """Rounds the weights of `linear`, whose bias it takes over."""
        super().__init__()
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / LEVELS
        levels = (weight / scale[:, None]).round_().to(torch.int8)
        self.weight = nn.Parameter(levels, requires_grad=False)
        self.register_buffer("scale", scale)  # buffers stay float32
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """As the layer that it was made of."""
        # One kernel, exact until the last rounding; no sum is larger than with float weights.
        weight = x.new_empty(self.weight.shape)
        torch.mul(self.weight, self.scale[:, None], out=weight)
        return F.linear(x, weight, self.bias)


def quantize(llm: nn.Module) -> None:
    """Rounds the linear layers of a Qwen2's blocks, in place; embeddings and head stay.

    One layer after the other, so that no second copy of the model is needed.
    """
    for module in list(llm.model.layers.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, Int8Linear(child))


def is_quantized(llm: nn.Module) -> bool:
    """Whether `quantize` has been here."""
    return any(isinstance(module, Int8Linear) for module in llm.model.layers.modules())


def squeezed(llm: nn.Module) -> int:
    """How many weights `quantize` makes one byte each."""
    layers = llm.model.layers.modules()
    return sum(layer.weight.numel() for layer in layers if isinstance(layer, nn.Linear))
