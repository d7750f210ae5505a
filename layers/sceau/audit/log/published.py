"""The newest checkpoint that the sealer published, as it rests: what witnesses and time stamps are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sceau.audit.log.checkpoints import Checkpoint
from sceau.audit.log.hashes import Node, complete_nodes
from sceau.audit.log.places import PENDING, dated_name
from sceau.audit.log.reading import LogReader
from sceau.audit.log.state import decode_state


@dataclass(frozen=True, slots=True)
class Newest:
    """A checkpoint, when its batch was fixed, its dated copy byte for byte, and the log's largest complete subtrees."""

    checkpoint: Checkpoint
    date: datetime
    note: bytes
    frontier: Mapping[Node, bytes]

    @property
    def name(self) -> str:
        """The name of its dated copy."""
        return dated_name(self.date, self.checkpoint.size)


def newest_checkpoint(log: LogReader) -> Newest | None:
    """The newest checkpoint by what the sealer keeps; None when there is none yet, or the sealer must look first.

    Two reads, whatever the log's size. NOT verified: whoever it is shown to verifies it. Raises LogUnavailable.
    """
    kept = log.object(PENDING)
    try:
        state = decode_state(kept) if kept is not None else None
    except ValueError:
        return None
    if state is None or state.date is None:
        return None
    note = log.object(dated_name(state.date, state.size))
    if note is None:
        return None
    frontier = dict(zip(complete_nodes(0, state.size), state.edge.frontier(), strict=True))
    return Newest(Checkpoint(state.origin, state.size, state.root), state.date, note, frontier)
