"""Where the fusion looks, patch by patch and over time, as in Figure 5 of arXiv 2603.27060."""

import numpy as np
import torch

from virst_model.data.record import Record
from virst_model.evaluate.predict import frames_of
from virst_model.model.fusion import SecondFusion
from virst_model.model.prompt import plain_sentence
from virst_model.model.virst import Virst
from virst_model.offline.video import view_video


@torch.inference_mode()
def patch_attention(
    model: Virst, record: Record, text: str, seed: int = 0
) -> dict[int, np.ndarray]:
    """Attention of the Second ST-Fusion's last layer to each patch of the frames that it sees.

    A mean over heads, [ST] tokens and their copies in time.

    Returns:
        Frame number -> (grid, grid) float32; all frames' patches together sum to 1. Empty for a
        model whose fusion is an MLP, which looks at nothing.

    Raises:
        FileError: no frame can be read.
    """
    if not isinstance(model.second_fusion, SecondFusion):
        return {}
    view = view_video(model, frames_of(record), seed=seed)
    s2_1TCgg = torch.cat([view.features[index].s2 for index in view.fused])[None]
    prompt = model.prompter.ask(plain_sentence(text))
    tokens = model.join_clips(view.clips)
    states, hint = model.st_hint(tokens, s2_1TCgg, prompt, view.places)
    _, looks = model.second_fusion.look(states, s2_1TCgg, hint)
    paid_TL = looks[-1][0].float().mean(dim=(0, 1, 2))
    grid = model.second_fusion.grid
    maps = paid_TL.unflatten(1, (grid, grid)).cpu().numpy()
    attention: dict[int, np.ndarray] = {}
    for index, map_gg in zip(view.fused, maps, strict=True):  # padding repeats a frame
        attention[index] = attention.get(index, 0) + map_gg
    return attention
