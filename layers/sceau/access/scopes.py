"""SMART App Launch 2 scopes: `(patient|user|system|ops)/(Resource|*).[c][r][u][d][s]`.

A scope is a ceiling, never a right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SCOPE = re.compile(r"(patient|user|system|ops)/([A-Z][A-Za-z]{1,40}|\*)\.(c?r?u?d?s?)(?<!\.)")


def is_scope(text: str) -> bool:
    """Whether `text` is a scope that we understand. Search arguments (`?…`) are not supported: such a scope is none."""
    return _SCOPE.fullmatch(text) is not None


def permits(scopes: Iterable[str], level: str, resource: str, letter: str) -> bool:
    """Whether one of the scopes covers one interaction letter (c r u d s) on a resource type at a level.

    The wildcard `*` covers every FHIR resource; it never crosses levels.
    """
    for scope in scopes:
        match = _SCOPE.fullmatch(scope)
        if match and match[1] == level and match[2] in (resource, "*") and letter in match[3]:
            return True
    return False


def covered(requested: str, ceiling: Iterable[str]) -> bool:
    """Whether every letter of a requested scope lies within the ceiling."""
    match = _SCOPE.fullmatch(requested)
    if match is None:
        return False
    ceiling = tuple(ceiling)  # of a wildcard, too: only another wildcard has that name
    return all(permits(ceiling, match[1], match[2], letter) for letter in match[3])
