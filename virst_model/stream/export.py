"""virst export: the graphs of the engine onnx, made ahead of the node's first start.

virst export                            of the packaged model
virst export --model DIR --alpha 1 3    of a folder's, for several numbers of anchors

They lie in the cache folder, $XDG_CACHE_HOME/virst/graphs, where the node, virst segment and virst
bench look for them, and are of these weights, this version of our code and these packages. What is
there already is not made again.
"""

from collections.abc import Sequence
import sys

import numpy as np
import torch

from virst_model.arguments import Parser, whole
from virst_model.checkpoints.options import add_model_options, load_model, set_up_logging
from virst_model.checkpoints.switches import with_behaviour
from virst_model.config import MOST_ALPHA, ST_TOKENS
from virst_model.errors import program, visible
from virst_model.model.memory import Memory
from virst_model.model.tracking import rehearse
from virst_model.model.virst import Virst
from virst_model.stream.engine import use_engine
from virst_model.stream.graphs import GraphCache


@torch.inference_mode()
def export_graphs(model: Virst, alphas: Sequence[int]) -> None:
    """Calls all that a frame calls, for each number of anchors; `model` has its engine."""
    side, width = model.config.segmenter.side, model.config.segmenter.dim
    features = model.encode_frame(np.zeros((side, side, 3), np.uint8))
    prompts_NC = torch.zeros(ST_TOKENS, width)
    for alpha in alphas:
        memory = Memory(with_behaviour(model, alpha=alpha).config)
        rehearse(model, features, prompts_NC, memory, queries=1)


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 2 where an option cannot be used, or the engine, said in one line."""
    parser = Parser(prog="virst export", description=__doc__)
    parser.add_argument(
        "--alpha",
        type=whole(1, MOST_ALPHA),
        nargs="+",
        metavar="N",
        help="anchors that a frame reads, several numbers for several (default: the weights' own)",
    )
    add_model_options(parser)
    options = parser.parse_args(arguments)
    set_up_logging()
    cache = GraphCache()
    model = use_engine(load_model(options), "onnx", cache)
    export_graphs(model, options.alpha or (model.config.behaviour.alpha,))
    sys.stdout.write(f"{visible(cache.folder)}\n")
    return 0
