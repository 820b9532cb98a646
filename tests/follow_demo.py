"""python tests/follow_demo.py FILE: what the packaged model finds in the demo's scene, as masks.

FILE is an .npz: `masks`, packed bits, and their `shape` (Q, T, H, W). The scene is followed twice
with VIRST_THREADS threads (default 1); exit status 1 where the two differ in a bit. New weights
have new masks: `python tests/follow_demo.py tests/masks_of_demo.npz`.
"""

import os
import sys

import numpy as np
import torch

from virst_model.checkpoints.load import load
from virst_model.evaluate.film import Film, follow
from virst_model.synthetic.scenes import DEMO_QUERIES, demo_scene

torch.set_num_threads(int(os.environ.get("VIRST_THREADS", "1")))
film = Film(demo_scene().render, frames=24, fps=10, size=(120, 160))
first, second = (follow(load(), film, DEMO_QUERIES, delay=1)[0] for _ in range(2))
if not np.array_equal(first, second):
    sys.exit("the same frames gave other masks the second time")
np.savez_compressed(sys.argv[1], masks=np.packbits(first), shape=first.shape)
