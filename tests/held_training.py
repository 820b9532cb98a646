"""python held_training.py GATE STEP ARGUMENTS...: a training that is held after a step.

It goes on once the file GATE is there, so that a test can act while it is surely under way.
"""

from pathlib import Path
import sys

from patience import wait_until

from virst_model.train.__main__ import main
from virst_model.train.journal import Journal

if __name__ == "__main__":
    gate, held = Path(sys.argv[1]), int(sys.argv[2])
    write = Journal.write

    def write_and_wait(journal: Journal, step: int, report: dict) -> None:
        write(journal, step, report)
        if step == held:
            wait_until(gate.exists)

    Journal.write = write_and_wait
    sys.exit(main(sys.argv[3:]))
