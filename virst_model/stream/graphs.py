"""Functions of tensors as ONNX graphs: made once, kept in a folder, run by ONNX Runtime."""

from collections.abc import Callable, Sequence
import contextlib
import hashlib
import io
import logging
import os
from pathlib import Path
import tempfile
import time
from types import ModuleType
import warnings

import torch
from torch import Tensor, nn

OPSET = 17  # of ONNX: the first with a layer norm of its own
UNUSED_S = 60 * 86400.0  # what nobody has asked for in that time is of other weights or versions

_log = logging.getLogger(__name__)


class Graph:
    """A function of tensors of fixed shapes on the CPU."""

    def __init__(self, onnx: bytes, threads: int) -> None:
        """`onnx`: what `export` made; `threads`: of each call. Raises what ONNX Runtime does."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors; it warns of each weight that nothing reads
        # Threads that wait for the next frame by spinning take the grounder's time.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            onnx, options, providers=["CPUExecutionProvider"]
        )
        # Inputs that nothing depends on are not in the graph.
        self._names = {node.name: _place(node.name) for node in self._session.get_inputs()}

    def __call__(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The function's tensors; `tensors` as it was exported with."""
        feed = {
            name: tensors[at].detach().contiguous().numpy() for name, at in self._names.items()
        }
        return [torch.from_numpy(array) for array in self._session.run(None, feed)]


class GraphCache:
    """A folder of exported graphs: each a file of its own, whole or not there.

    A file's name ends with the hash of its bytes, so that one that was cut off or changed is known
    for it. Its time is when it was last asked for; what is older than `UNUSED_S` goes when
    something new is kept.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """`folder`: made when something is kept; None is `cache_folder()`."""
        self.folder = folder or cache_folder()
        self._warned = False

    def find(self, name: str) -> bytes | None:
        """The bytes kept under `name`; None where there are none that are whole."""
        for path in sorted(self.folder.glob(f"{name}-*.onnx")):
            with contextlib.suppress(OSError):
                found = path.read_bytes()
                if path.stem == f"{name}-{_digest(found)}":
                    with contextlib.suppress(OSError):  # a folder that is only read
                        os.utime(path)
                    return found
                path.unlink()  # damaged: it will be made anew
        return None

    def keep(self, name: str, onnx: bytes) -> None:
        """Keeps bytes under `name`; a folder that cannot be written is one warning for all."""
        path = self.folder / f"{name}-{_digest(onnx)}.onnx"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=self.folder, suffix=".part")
            try:
                with open(handle, "wb") as file:
                    file.write(onnx)
                os.replace(part, path)
            except BaseException:
                os.unlink(part)
                raise
            self._prune()
        except OSError as error:
            if not self._warned:
                _log.warning("graphs cannot be kept in %s (%s)", self.folder, error.strerror)
            self._warned = True

    def _prune(self) -> None:
        """Removes what nobody uses any more, and what was left of a process that was killed."""
        oldest = time.time() - UNUSED_S
        for path in (*self.folder.glob("*.onnx"), *self.folder.glob("*.part")):
            with contextlib.suppress(OSError):  # another process removed it
                if path.stat().st_mtime < oldest:
                    path.unlink()


def cache_folder() -> Path:
    """Where graphs are kept: $XDG_CACHE_HOME, or ~/.cache, and in it virst/graphs."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(root) / "virst" / "graphs"


def installed() -> ModuleType | None:
    """The package onnxruntime, or None where it is not installed or does not start."""
    try:
        import onnxruntime
    except ImportError:
        return None
    return onnxruntime


def export(module: nn.Module, inputs: Sequence[Tensor]) -> bytes:
    """The ONNX graph of a module in evaluation mode, for inputs of these shapes and dtypes.

    By torch's tracer: its newer exporter makes the same graph in twenty times the time. What the
    module makes of shapes alone becomes constants.

    Raises:
        ImportError: the package onnx is not installed.
        Exception: what the module itself raises, or torch where it knows no such operator.
    """
    import onnx  # noqa: F401  torch would say so at the end only

    written = io.BytesIO()
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that become constants, as they are to
        torch.onnx.export(
            module,
            tuple(inputs),
            written,
            input_names=[_name(place) for place in range(len(inputs))],
            opset_version=OPSET,
            dynamo=False,
        )
    return written.getvalue()


def weights_hash(module: nn.Module) -> str:
    """Of all parameters and buffers: their names, dtypes, shapes and bytes."""
    found = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def graph_of(name: str, make: Callable[[], bytes], cache: GraphCache, threads: int) -> Graph:
    """The graph that the cache has under `name`, else a new one, kept there.

    One that ONNX Runtime does not take is made anew, too. Raises as `export` and `Graph` do.
    """
    known = cache.find(name)
    if known is not None:
        with contextlib.suppress(Exception):  # of its own kinds
            return Graph(known, threads)
    onnx = make()
    graph = Graph(onnx, threads)
    cache.keep(name, onnx)
    return graph


def _name(place: int) -> str:
    return f"input_{place}"


def _place(name: str) -> int:
    return int(name.removeprefix("input_"))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
