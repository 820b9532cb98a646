"""python -m virst_model.checkpoints: released files as a folder of weights (importer.py)."""

import sys

from virst_model.checkpoints.importer import main

if __name__ == "__main__":
    sys.exit(main())
