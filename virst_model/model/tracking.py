"""One step of a track: the model's calls in their order, and the memory that they write.

Source: arXiv 2603.27060 Sec. 3.4, eq. (10)-(12), (17)-(19); docs/released.md, facts 1 and 22.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from virst_model.model.features import Decoded, FrameFeatures
from virst_model.model.memory import Memory
from virst_model.model.virst import Virst


def track_anchor(
    model: Virst,
    t: int,
    features: FrameFeatures,
    prompts_NC: torch.Tensor,
    memory: Memory,
    before: Decoded | None = None,
) -> Decoded:
    """Segments anchor `t` (B = 1) from its prompts alone and puts it into the bank.

    `before` is the mask of other prompts on the same frame, if any: a mask prompt (fact 1).
    """
    decoded = model.decode_anchor(features, prompts_NC, before)
    memory.write_anchor(t, model.encode_memory(features, decoded))
    return decoded


def track_frame(
    model: Virst,
    t: int,
    features: FrameFeatures,
    memories: Sequence[Memory],
    video_length: int | None = None,
) -> list[Decoded]:
    """Segments frame `t` (B = 1) from each memory, as one batch, and puts it into their FIFOs.

    Args:
        memories: of Q >= 1 tracks; each holds an anchor.
        video_length: frames of an offline video; None for a stream.

    Returns:
        Each track's mask, B = 1; views of one batch.

    Raises:
        RuntimeError: a memory holds no anchor.
    """
    decoded = model.propagate(features, [memory.read(t, video_length) for memory in memories])
    remember(model, t, features, decoded, memories)
    return decoded.split()


def remember(
    model: Virst, t: int, features: FrameFeatures, decoded: Decoded, memories: Sequence[Memory]
) -> None:
    """Puts the masks of frame `t`, one for each memory, into their FIFOs."""
    entries = model.encode_memory(features, decoded)
    for memory, entry in zip(memories, entries.split(), strict=True):
        memory.write(t, entry)


def rehearse(
    model: Virst, features: FrameFeatures, prompts_NC: torch.Tensor, memory: Memory, queries: int
) -> None:
    """Runs what every frame runs once its features are there: anchors, and `queries` tracks.

    For what is slow the first time: compilers, and kernels that are chosen by trying. `memory`
    has the track's options and nobody else's use.
    """
    track_anchor(model, 0, features, prompts_NC, memory)
    pair = [0, 0]
    both = features.select(pair)
    model.encode_memory(both, model.decode_anchors(both, prompts_NC[None][pair]))
    track_frame(model, 1, features, [memory] * queries)
    # Once its memory is full a frame is attended to without a mask: other kernels.
    full = replace(memory.read(2), complete=True)
    model.propagate(features, [full] * queries)
