"""What one run of the sealer did and found, in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Report:
    """`sealed`: entries added; `size`: of the log after it; `late`: of those, found by reconciliation.

    What somebody must look at: `unread` events whose objects the store did not give (tried again by each run),
    `vanished` ones that it lists and does not have, `unlocked` objects whose lock is shorter than it must be, `strays`:
    names below `journal/events/` that no event has. `ahead`: there are events whose time is yet to come.
    `waited_seconds`: how long the oldest of the new events had waited when the run found it.
    `looked_back`: events that reconciliation looked for. `finished`: nothing was left for lack of time, or to another
    run that was at work.
    """

    sealed: int = 0
    batches: int = 0
    size: int = 0
    late: int = 0
    waited_seconds: int = 0
    looked_back: int = 0
    unread: int = 0
    vanished: int = 0
    unlocked: int = 0
    unindexed: int = 0
    strays: int = 0
    ahead: int = 0
    rebuilt: bool = False
    finished: bool = True

    def figures(self) -> dict[str, int | float]:
        """The numbers, for the log of operations."""
        return asdict(self)

    @property
    def alarms(self) -> dict[str, int]:
        """What somebody must look at."""
        found = {
            "unread": self.unread,
            "vanished": self.vanished,
            "unlocked": self.unlocked,
            "unindexed": self.unindexed,
            "strays": self.strays,
            "rebuilt": int(self.rebuilt),
        }
        return {name: number for name, number in found.items() if number}
