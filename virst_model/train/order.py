"""In which order a window's frames are segmented in training."""

from collections.abc import Mapping, Sequence

import torch

from virst_model.memory import Memory
from virst_model.structs import Decoded, FrameFeatures
from virst_model.virst import Virst

ORDERS = ("anchors_first", "by_index")


def segment_window(
    model: Virst,
    features: Sequence[FrameFeatures],
    prompts: Mapping[int, torch.Tensor],
    order: str | None = None,
    multimask: bool | None = None,
) -> list[Decoded]:
    """Masks of a window's frames: anchors from their prompts, the others from memory.

    Memory is never rounded here, and a frame also reads the pointers of anchors after it, as in
    the release's training.

    Args:
        model: whose segmenter, alpha and anchor rule are used.
        features: of each frame (B = 1).
        prompts: (1, N, C) of each anchor, by the frame's index; at least one.
        order: overrides `behaviour.training_order`. "anchors_first" is eq. (14), all anchors and
            then the other frames, which is also the order of inference; "by_index" is the
            release's: the first anchor and then all frames in order of time, so that a later
            anchor is not seen by the frames before it.
        multimask: overrides the configured choice of mask tokens; the release trains the
            single-mask token and reads the other three.

    Raises:
        ValueError: no anchor, or an unknown order.
    """
    order = order or model.config.behaviour.training_order
    if order not in ORDERS:
        raise ValueError(f"unknown training order {order!r}; known are {ORDERS}")
    if not prompts:
        raise ValueError("a window needs at least 1 anchor")
    segmenter, length = model.segmenter, len(features)
    first = sorted(prompts) if order == "anchors_first" else [min(prompts)]
    memory = Memory(model.config, capacity=None)
    decoded: dict[int, Decoded] = {}
    for t in [*first, *(t for t in range(length) if t not in first)]:
        if t in prompts:
            decoded[t] = segmenter.decode_prompted(features[t], prompts[t], multimask=multimask)
        else:
            read = memory.read(t, length, future_pointers=True)
            decoded[t] = segmenter.decode_tracked(features[t], read, multimask)
        if len(prompts) == length:
            continue  # Nobody reads the memory.
        entry = segmenter.encode_memory(features[t], decoded[t])
        if t in prompts:
            memory.write_anchor(t, entry)
        else:
            memory.write(t, entry)
    return [decoded[t] for t in range(length)]
