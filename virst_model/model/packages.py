"""What `pip install` of this package cannot bring along, and the lines that do."""

from virst_model.errors import InputError

# sam2 asks for torchvision, which nothing here uses, and its setup.py imports torch.
SAM2 = "SAM2_BUILD_CUDA=0 pip install --no-deps --no-build-isolation sam2==1.1.0"
NEEDED_BY_SAM2 = "pip install 'hydra-core>=1.3.2' 'iopath>=0.1.10'"


class PackageError(InputError, ImportError):
    """sam2, or what it imports, is not installed. `str()` is one line: what, and the command."""

    def __init__(self, cause: ImportError) -> None:
        root = (cause.name or "").partition(".")[0]
        command = NEEDED_BY_SAM2 if root in {"hydra", "iopath"} else f"pip install wheel; {SAM2}"
        reason = " ".join(str(cause).split())
        super().__init__(f"the model needs sam2, hydra-core and iopath ({reason}): {command}")
