"""The learning rate of a step."""

import math

from virst_model.train.stage import Stage


def learning_rate(stage: Stage, step: int) -> float:
    """The rate of a step (0, 1, ...): a linear warm-up times the stage's schedule."""
    done = step / stage.steps
    shape = {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}
    falling = stage.final + (1 - stage.final) * shape[stage.schedule]
    return stage.lr * min(1.0, (step + 1) / max(1, stage.warmup)) * falling
