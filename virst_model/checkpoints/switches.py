"""What of a loaded model can be set otherwise: how it behaves, and which fusion runs."""

from dataclasses import replace

from virst_model.config import VirstConfig
from virst_model.errors import InputError
from virst_model.model.virst import Virst


class SwitchError(InputError):
    """The weights lack what a switch asks for; `str()` is one line."""


def with_behaviour(model: Virst, **changes: object) -> Virst:
    """The same weights with other fields of `BehaviourConfig`; they stay so."""
    behaviour = replace(model.config.behaviour, **changes)
    model.config = replace(model.config, behaviour=behaviour)
    return model


def check_fusion(config: VirstConfig, initial: bool | None, second: str | None) -> None:
    """Whether weights of `config` can run with the fusion of another row of Table 4.

    The initial fusion can be left out of weights that were trained with it. It can be put into
    those of the release, which trains it and leaves it out of its evaluation, and into no others.

    Args:
        config: of the weights.
        initial: whether the Initial ST-Fusion runs; None as the weights have it.
        second: "attention" or "mlp"; None as the weights have it.

    Raises:
        SwitchError: the weights were trained without the initial fusion, or their second one is
            the other kind.
    """
    own = config.fusion
    if second is not None and second != own.second:
        raise SwitchError(f"second fusion {second}: these weights have {own.second}")
    if initial and not own.initial and config.behaviour.name != "released":
        raise SwitchError("initial fusion on: these weights were trained without it")


def with_fusion(model: Virst, initial: bool | None = None, second: str | None = None) -> Virst:
    """The same weights with another fusion, as `check_fusion` has it, which raises SwitchError."""
    check_fusion(model.config, initial, second)
    if initial is not None:
        fusion = replace(model.config.fusion, initial=initial)
        model.config = replace(model.config, fusion=fusion)
    return model
