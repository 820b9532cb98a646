"""What guides the anchors of a program's model (Table 5)."""

import argparse

from virst_model.errors import UsageError
from virst_model.model.virst import Virst
from virst_model.offline.video import Scorer
from virst_model.stream.grounder import check_stream


def load_scorer(options: argparse.Namespace, model: Virst, whole: bool = True) -> Scorer | None:
    """CLIP, where a model's anchors are guided; None where they need no guide.

    Args:
        whole: whether the video is looked at before it is segmented.

    Raises:
        StreamError: they need one, and frames are judged as they come.
        UsageError: they need one, and there is no --clip.
        WeightsError: the folder is no CLIP.
    """
    if not whole:
        check_stream(model.config.behaviour)
    if model.config.behaviour.anchors != "guided":
        return None
    if options.clip is None:
        raise UsageError("--anchors guided: needs --clip DIR, a CLIP of transformers")
    # Here, since no program but those with --clip needs CLIP's code, which takes seconds.
    from virst_model.offline.scorers import ClipScorer

    return ClipScorer(options.clip, model.device)
