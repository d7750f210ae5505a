"""A property of a live stage as it was measured: what checks of stores and of key services tell alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sceau.objects.errors import ObjectStoreError

PROBE: Final = "probe/"
"""What checks write lies below this prefix, and nothing else."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One property: how it is called, whether it holds, and what was seen, in a sentence without a secret."""

    name: str
    held: bool
    seen: str


def measured(name: str, measure: Callable[[], tuple[bool, str]]) -> Finding:
    """The finding of one measurement. A store that fails meanwhile has not shown that it holds."""
    try:
        return Finding(name, *measure())
    except ObjectStoreError as error:
        return Finding(name, held=False, seen=f"it could not be measured: {error}")
