"""VIRST: referring video segmentation with a video language model and SAM 2, offline and live.

Names are looked up on first use, so that what needs no model (the synthetic scenes, say) does not
pay for importing torch.
"""

import importlib
from typing import Any

_HOMES = {
    "DeviceError": "checkpoints.device",
    "EngineError": "stream.engine",
    "PackageError": "model.packages",
    "Query": "answer",
    "Session": "stream.session",
    "SessionOptions": "stream.options",
    "Virst": "model.virst",
    "VirstConfig": "config",
    "WeightsError": "checkpoints.folder",
    "build": "checkpoints.load",
    "compile_frames": "stream.compiled",
    "load": "checkpoints.load",
    "processor_name": "processor",
    "use_engine": "stream.engine",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
