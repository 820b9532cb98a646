"""The real node around a scripted session, for tests that are about the node.

The masks of every query are the bright red pixels. `model` scripts it: "held" keeps a frame with a
blue first pixel until the file of SCRIPTED_GATE is there, and says by the file SCRIPTED_HELD that
it has it; "crash" fails for good on such a frame; "late" loads until the gate is there.
"""

from __future__ import annotations

import os
from pathlib import Path
import sys

import numpy as np
from patience import wait_until

from virst_model.answer import TRACKING, Query, QueryResult, StepResult
from virst_ros.node import main
from virst_ros.parameters import Parameters
from virst_ros.tracker import Stream

KNOWN_WORDS = ("the", "red", "circle")


class ScriptedSession:
    def __init__(self, script: str) -> None:
        self.script = script
        self.queries: tuple[Query, ...] = ()
        self.t = 0

    def set_queries(self, queries: tuple[Query, ...]) -> None:
        self.queries = queries

    def step(self, frame_HW3: np.ndarray, stamp_s: float) -> StepResult | None:
        marked = frame_HW3[0, 0, 2] == 255
        if self.script == "held" and marked:
            Path(os.environ["SCRIPTED_HELD"]).touch()
            wait_for_gate()
        if self.script == "crash" and marked:
            raise RuntimeError("scripted crash")
        self.t += 1
        if not self.queries:
            return None
        mask_HW = (frame_HW3[..., 0] > 200) & (frame_HW3[..., 1] < 50)
        rows, columns = np.nonzero(mask_HW)
        box = (0, 0, 0, 0)
        if len(rows):
            left, top = int(columns.min()), int(rows.min())
            box = (left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1)
        answers = tuple(
            QueryResult(q.id, q.label, q.text, TRACKING, 0.75, 0.5, mask_HW, box, len(rows))
            for q in self.queries
        )
        labels_HW = mask_HW.astype(np.uint8) * self.queries[-1].label
        return StepResult(self.t, stamp_s, answers, mask_HW.astype(np.uint8) * 255, labels_HW)

    def stats(self) -> dict:
        return {"frames": self.t}

    def close(self) -> None:
        self.queries = ()


def wait_for_gate() -> None:
    wait_until(Path(os.environ["SCRIPTED_GATE"]).exists)


def open_stream(parameters: Parameters) -> Stream:
    if parameters.model == "late":
        wait_for_gate()
    return Stream(ScriptedSession(parameters.model), KNOWN_WORDS)


if __name__ == "__main__":
    sys.exit(main(open_stream=open_stream))
