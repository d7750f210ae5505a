"""Parameters that a search does not know: named in a warning, or refused where the client asked for strict handling."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from sceau.fhir.outcome import FhirError, Problem

_SPEAKABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")


def speakable(name: str) -> str:
    """A name for a text of ours. It comes from the client: only what looks like one is repeated."""
    return f"`{name}`" if _SPEAKABLE.fullmatch(name) else "(a name of other characters)"


def unknown(names: Iterable[str], *, strict: bool) -> tuple[Problem, ...]:
    """A warning for each parameter that is not supported. Under `strict`, FhirError 400 (FHIR R4, search)."""
    named = [(name if _SPEAKABLE.fullmatch(name) else None, speakable(name)) for name in names]
    if named and strict:
        raise FhirError(400, *(Problem("not-supported", f"{text} is not supported", name) for name, text in named))
    return tuple(
        Problem("not-supported", f"{text} is not supported and was ignored", name, severity="warning")
        for name, text in named
    )
