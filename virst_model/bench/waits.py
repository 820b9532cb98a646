"""Where the host waits for the device, counted while the model runs on any device, a CPU too."""

from collections.abc import Callable
from contextlib import ExitStack
import functools
from types import TracebackType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# A look at a tensor's values, or a copy of them to the host.
LOOKS = (
    *("item", "tolist", "cpu", "numpy", "__array__"),
    *("__bool__", "__int__", "__float__", "__index__", "__complex__"),
)
# Python numbers that are brought to the device.
UPLOADS = (torch.tensor, torch.as_tensor, torch.asarray)
# Operators whose result's shape or value the host must know.
OPERATORS = (
    *("nonzero", "masked_select", "unique_dim", "_unique2", "unique_consecutive"),
    *("_local_scalar_dense", "is_nonzero", "equal"),
)
# Operators that bring values to another place.
COPIES = ("_to_copy", "copy_")
# Operators that look for the places of a mask where they are indexed with one.
INDEXED = ("index", "index_put", "index_put_", "_index_put_impl_")
SYNCHRONIZE = (
    (torch.cuda, "synchronize"),
    (torch.cuda.Event, "synchronize"),
    (torch.cuda.Stream, "synchronize"),
)


class HostWaits:
    """Within its block: `names` of what this thread waited for, in order.

    Functions of tensors and operators are both looked at: `numpy()` of a CPU's tensor is no
    operator, and a mask that is an index is found by its operator alone.
    """

    def __init__(self, device: torch.device) -> None:
        """`device`: a look at tensors of another one is no wait."""
        self.names: list[str] = []
        self._device = device
        self._inside = False  # a wait is counted once, whatever it calls
        self._stack = ExitStack()

    def __enter__(self) -> "HostWaits":
        for owner, name in SYNCHRONIZE:
            before = getattr(owner, name)
            self._stack.callback(setattr, owner, name, before)
            setattr(owner, name, self._counted("synchronize", before))
        self._stack.enter_context(_Functions(self))
        self._stack.enter_context(_Operators(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _counted(self, name: str, function: Callable) -> Callable:
        @functools.wraps(function)
        def run(*arguments: Any, **named: Any) -> Any:
            return self.run(name, function, *arguments, **named)

        return run

    def run(self, name: str | None, function: Callable, *arguments: Any, **named: Any) -> Any:
        """The call, counted as a wait of that name; None: as none."""
        if name is None or self._inside:
            return function(*arguments, **named)
        self.names.append(name)
        self._inside = True
        try:
            return function(*arguments, **named)
        finally:
            self._inside = False

    def leaves(self, name: str, arguments: tuple, named: dict[str, Any]) -> bool:
        """Whether a copy brings values off the device, and the host waits for them."""
        if self._device.type == "cpu":
            return False  # all is there
        if name == "_to_copy":
            goes, source = named.get("device"), arguments[0]
            goes = goes is not None and torch.device(goes).type == "cpu"
        else:
            goes, source = arguments[0].device.type == "cpu", arguments[1]
        waits = not (named.get("non_blocking") or (len(arguments) > 2 and arguments[2]))
        return goes and waits and self.is_there(source)

    def is_there(self, value: Any) -> bool:
        """Whether the value is a tensor on the device."""
        return isinstance(value, torch.Tensor) and value.device.type == self._device.type


class _Functions(TorchFunctionMode):
    def __init__(self, waits: HostWaits) -> None:
        super().__init__()
        self._waits = waits

    def __torch_function__(
        self, function: Callable, types: Any, arguments: tuple = (), named: dict | None = None
    ) -> Any:
        name = self._name(function, arguments, named or {})
        return self._waits.run(name, function, *arguments, **(named or {}))

    def _name(self, function: Callable, arguments: tuple, named: dict) -> str | None:
        name = getattr(function, "__name__", "")
        if function in UPLOADS:
            return None if isinstance(arguments[0], torch.Tensor) else name
        if not arguments or not self._waits.is_there(arguments[0]):
            return None
        if name in ("__getitem__", "__setitem__"):
            index = arguments[1] if isinstance(arguments[1], tuple) else (arguments[1],)
            return "list as an index" if any(isinstance(i, list) for i in index) else None
        if name == "to" and not named.get("non_blocking"):
            goes = any(_is_host(value) for value in (*arguments[1:], *named.values()))
            return name if goes else None
        if name == "new_tensor":
            values = (*arguments[1:], *named.values())
            return None if any(isinstance(value, torch.Tensor) for value in values) else name
        return name if name in LOOKS else None


def _is_host(value: Any) -> bool:
    """Whether it names the host, and not the model's own device, which may be that."""
    return isinstance(value, str) and value == "cpu"


class _Operators(TorchDispatchMode):
    def __init__(self, waits: HostWaits) -> None:
        super().__init__()
        self._waits = waits

    def __torch_dispatch__(
        self, operator: Any, types: Any, arguments: tuple = (), named: dict | None = None
    ) -> Any:
        name = operator._schema.name.removeprefix("aten::")
        masks = (torch.bool, torch.uint8)
        looks = name in OPERATORS and self._waits.is_there(arguments[0])
        if name in INDEXED:
            looks = any(i is not None and i.dtype in masks for i in arguments[1])
        if name in COPIES:
            looks = self._waits.leaves(name, arguments, named or {})
        if name == "repeat_interleave" and not (named or {}).get("output_size"):
            looks = any(self._waits.is_there(value) for value in arguments[-1:])  # asks their sum
        return self._waits.run(name if looks else None, operator, *arguments, **(named or {}))
