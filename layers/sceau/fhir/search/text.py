r"""Search values as text: FHIR's escapes (`\,` `\|` `\$` `\\`) and references. FHIR R4 search, 3.1.1.4."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_BLANKS = re.compile(r"\s+")


def split_unescaped(text: str, separator: str) -> list[str]:
    """Split `text` at each `separator` that no backslash precedes. The parts keep their escapes."""
    parts: list[str] = []
    start = at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == separator:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    parts.append(text[start:])
    return parts


def unescape(text: str) -> str:
    r"""Return `text` without its escapes. ValueError for a backslash before anything but `,` `|` `$` `\`."""

    def plain(match: re.Match[str]) -> str:
        if match[1] not in {",", "|", "$", "\\"}:
            raise ValueError("a backslash stands before one of , | $ \\ only")
        return match[1]

    return _ESCAPE.sub(plain, text)


def local_reference(reference: str, target: str, base_urls: Sequence[str]) -> str:
    """Return `<target>/<id>` for a reference to one of our resources, else the reference as it is.

    `reference`: `<id>`, `<target>/<id>`, or either one's absolute form under one of `base_urls` (FHIR bases, no
    slash at the end).
    """
    for base in base_urls:
        if reference.startswith(base + "/"):
            reference = reference[len(base) + 1 :]
            break
    return reference if "/" in reference or ":" in reference else f"{target}/{reference}"


def fold(text: str) -> str:
    """Return `text` as strings are compared: no accents, no case, single blanks. May be empty."""
    # Case is folded twice: it can bring accents (İ) and decomposing can bring case (ﬃ, ℌ).
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return _BLANKS.sub(" ", unicodedata.normalize("NFKC", bare.casefold())).strip()
