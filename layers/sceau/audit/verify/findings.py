"""What a verification finds: where, and what is wrong there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

MOST = 1000
"""Findings that are kept; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be: the object's name (or another place), and what is wrong, in a sentence."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


class Findings:
    """Findings in the order in which they were found. Safe under threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: list[Finding] = []
        self._lock = Lock()
        self.total = 0

    def add(self, place: str, what: str) -> None:
        """Note a finding."""
        with self._lock:
            self.total += 1
            if len(self._kept) < self._most:
                self._kept.append(Finding(place, what))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._kept)

    def __len__(self) -> int:
        return self.total
