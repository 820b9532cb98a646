"""In which order a window's frames are segmented in training, and by which mask token."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.utils.checkpoint import checkpoint

from virst_model.model.features import Decoded, FrameFeatures
from virst_model.model.memory import Memory
from virst_model.model.virst import Virst


def segment_window(
    model: Virst,
    features: Sequence[FrameFeatures],
    prompts: Mapping[int, torch.Tensor],
    times: Sequence[int] | None = None,
    stream: bool = False,
    checkpointing: bool = False,
) -> list[Decoded]:
    """Masks of a window's frames: anchors from their prompts, the others from memory.

    Gradients flow through the memory, which is never rounded here.

    Args:
        model: whose segmenter, alpha and anchor rule are used; and of its behaviour:
            `training_order`: "anchors_first" is eq. (14), all anchors and then the other frames,
            which is also the order of inference (eq. (12)); "by_index" is the release's: the
            first anchor and then all frames in order of time, so that a later anchor is not seen
            by the frames before it.
            `train_token`: "read" trains the mask that inference reads, which of three tokens is
            the one with the highest predicted IoU: SAM 2 trains the one with the lowest loss, but
            a mask enters memory here before there is a loss, and the one that does must be the
            one that will. "single" is the release's: it trains the single-mask token and reads
            the other three.
        features: of each frame, for each of B pairs of frame and sentence.
        prompts: (B, N, C) of each anchor, by the frame's index; at least one.
        times: of each frame, ascending, the time base of memory; by default its index.
        stream: memory is read as in a stream. Otherwise a frame also reads the pointers of
            anchors after it, and times are relative to the number of frames, as in the release's
            training.
        checkpointing: what memory attention and the memory's encoder keep for the backward pass
            is computed again there.

    Raises:
        ValueError: no anchor.
    """
    order, token = model.config.behaviour.training_order, model.config.behaviour.train_token
    if not prompts:
        raise ValueError("a window needs at least 1 anchor")
    segmenter, length = model.segmenter, len(features)
    times = range(length) if times is None else times
    run = _again if checkpointing else _once
    multimask = False if token == "single" else None  # None: as at inference
    first = sorted(prompts) if order == "anchors_first" else [min(prompts)]
    memory = Memory(model.config, capacity=None)
    decoded: dict[int, Decoded] = {}
    for i in [*first, *(i for i in range(length) if i not in first)]:
        if i in prompts:
            decoded[i] = segmenter.decode_prompted(features[i], prompts[i], multimask=multimask)
        else:
            read = (times[i],) if stream else (times[i], length, True)
            decoded[i] = run(segmenter.decode_tracked, features[i], memory.read(*read), multimask)
        if len(prompts) == length:
            continue  # Nobody reads the memory.
        entry = run(segmenter.encode_memory, features[i], decoded[i])
        if i in prompts:
            memory.write_anchor(times[i], entry)
        else:
            memory.write(times[i], entry)
    return [decoded[i] for i in range(length)]


def _once(function: Callable, *arguments: object) -> object:
    return function(*arguments)


def _again(function: Callable, *arguments: object) -> object:
    return checkpoint(function, *arguments, use_reentrant=False)
