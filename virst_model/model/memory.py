"""The memory of one query's track: a bank of anchors and a FIFO of recent frames.

Source: arXiv 2603.27060 Sec. 3.4, eq. (17)-(19); docs/released.md, facts 22-25 and 28.
"""

import torch

from virst_model.config import VirstConfig
from virst_model.model.anchors import select_anchors
from virst_model.model.features import MemoryEntry, MemoryRead
from virst_model.model.tables import table


class Memory:
    """Bounded store of `MemoryEntry`s, written per frame and read with fixed shapes.

    The FIFO keeps maps of the last P-1 frames and pointers of the last 15 (SAM 2's 16 with the
    current frame); the bank keeps `capacity` anchors, oldest out. All entries share one batch
    size B. Times are frame numbers; only their differences matter.
    """

    def __init__(self, config: VirstConfig, capacity: int | None = 8) -> None:
        """`capacity`: anchors kept; None keeps all (an offline video).

        Raises:
            ValueError: a capacity below alpha.
        """
        behaviour = config.behaviour
        if capacity is not None and capacity < behaviour.alpha:
            raise ValueError(f"capacity {capacity} is below alpha {behaviour.alpha}")
        self._alpha = behaviour.alpha
        self._rule = behaviour.anchor_rule
        self._holes = behaviour.fifo_holes
        self._max_pointers = behaviour.max_pointers
        self._fifo = config.segmenter.num_maskmem - 1
        self._capacity = capacity
        self._anchors: dict[int, MemoryEntry] = {}
        self._anchor_times: dict[int, torch.Tensor] = {}  # int64, where the entry is
        self._recent_maps: dict[int, torch.Tensor] = {}
        self._recent_pointers: dict[int, torch.Tensor] = {}

    @property
    def anchor_times(self) -> tuple[int, ...]:
        """Times of the anchors in the bank, ascending."""
        return tuple(sorted(self._anchors))

    def write(self, t: int, entry: MemoryEntry) -> None:
        """Adds a tracked frame to the FIFO; what no later frame can read is dropped."""
        self._recent_maps[t] = entry.maps
        self._recent_pointers[t] = entry.pointer
        for store, reach in (
            (self._recent_maps, self._fifo),
            (self._recent_pointers, self._max_pointers - 1),
        ):
            for old in [k for k in store if k <= t - reach]:
                del store[old]

    def write_anchor(self, t: int, entry: MemoryEntry) -> None:
        """Adds an anchor to the bank, or replaces the one of the same time; oldest out."""
        self._anchors[t] = entry
        # Written there, and once: a device waits for each number that it is brought.
        self._anchor_times[t] = torch.full((), t, device=entry.pointer.device)
        while self._capacity is not None and len(self._anchors) > self._capacity:
            self._drop_anchor(min(self._anchors))

    def drop_anchors(self, first: int, last: int) -> None:
        """Forgets the anchors with first <= t <= last: a re-grounding replaces its window's."""
        for t in [t for t in self._anchors if first <= t <= last]:
            self._drop_anchor(t)

    def reset(self) -> None:
        """Forgets anchors and recent frames: nothing can be read before the next anchor."""
        self._anchors.clear()
        self._anchor_times.clear()
        self.reset_fifo()

    def reset_fifo(self) -> None:
        """Forgets the recent frames, keeps the anchors."""
        self._recent_maps.clear()
        self._recent_pointers.clear()

    def selected(self, t: int) -> list[int]:
        """Times of the anchors that a read at `t` takes."""
        return select_anchors(t, self._anchors, self._alpha, self._rule)

    def read(
        self, t: int, video_length: int | None = None, future_pointers: bool = False
    ) -> MemoryRead:
        """What frame `t` attends to: anchors from both sides of time, FIFO frames t-1..t-(P-1).

        Args:
            t: the frame that reads.
            video_length: frames of an offline video; bounds the pointers as the release does
                (min(length, 16): fact 25). None for a stream, which has no length.
            future_pointers: also read the pointers of anchors after t (released training).

        Raises:
            RuntimeError: the bank is empty, so there is nothing to track.
        """
        if not self._anchors:
            raise RuntimeError(f"memory has no anchor to read from at frame {t}")
        selected = self.selected(t)
        like = self._anchors[selected[0]]
        maps = [self._anchors[a].maps for a in selected]
        maps += [None] * (self._alpha - len(maps))
        maps += [
            self._recent(t - k, selected, self._recent_maps) for k in range(1, self._fifo + 1)
        ]

        reach = self._max_pointers
        if video_length is not None:
            reach = max(2, min(reach, video_length))
        pointers = [
            self._anchors[a].pointer if a <= t or future_pointers else None for a in selected
        ]
        pointers += [None] * (self._alpha - len(pointers))
        for k in range(1, self._max_pointers):
            known = k < reach
            pointers.append(
                self._recent(t - k, selected, self._recent_pointers) if known else None
            )
        batch, device = like.pointer.shape[0], like.pointer.device
        return MemoryRead(
            maps=_stack(maps, like.maps),
            map_valid=_valid(maps, batch, device),
            pointers=_stack(pointers, like.pointer),
            pointer_valid=_valid(pointers, batch, device),
            pointer_time=self._distances(t, selected).expand(batch, -1) / (reach - 1),
            complete=all(item is not None for item in maps + pointers),
        )

    def _distances(self, t: int, selected: list[int]) -> torch.Tensor:
        """Of each pointer in frames, signed; zeros where no anchor is. float32 (alpha + 15,)."""
        anchors = t - torch.stack([self._anchor_times[a] for a in selected])
        missing, recent = _known_distances(
            self._alpha - len(selected), self._max_pointers, anchors.device
        )
        return torch.cat([anchors.float(), missing, recent])

    def _drop_anchor(self, t: int) -> None:
        del self._anchors[t], self._anchor_times[t]

    def _recent(
        self, t: int, selected: list[int], store: dict[int, torch.Tensor]
    ) -> torch.Tensor | None:
        """A frame of the FIFO: an anchor's memory stands in for the frame's own track."""
        if t in self._anchors:
            if t in selected and self._holes:
                return None
            entry = self._anchors[t]
            return entry.maps if store is self._recent_maps else entry.pointer
        return store.get(t)


def _stack(items: list[torch.Tensor | None], like: torch.Tensor) -> torch.Tensor:
    zeros = torch.zeros_like(like)
    return torch.stack([zeros if item is None else item for item in items], dim=1)


def _valid(items: list[torch.Tensor | None], batch: int, device: torch.device) -> torch.Tensor:
    missing, there = _bools(len(items), device)
    if all(item is not None for item in items):
        return there.expand(batch, -1)
    return torch.stack([missing if item is None else there[0] for item in items]).expand(batch, -1)


@table
def _bools(count: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """False, and True so many times."""
    there = torch.ones(count, dtype=torch.bool, device=device)
    return ~there[0], there


@table
def _known_distances(
    missing: int, pointers: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of anchors that are not there, and of the FIFO's frames."""
    recent = torch.arange(1, pointers, dtype=torch.float32, device=device)
    return torch.zeros(missing, device=device), recent
