"""Dossier objects as sweeping sees them: a clear list, and a sealed part that was made with it."""

from __future__ import annotations

from sceau.envelope import contexts, sdk
from sceau.keys.ports import DATA_KEY_BYTES, KeyName
from sceau.records.dossier import clear_part, names_digest


def listing(record: str, *names: str) -> bytes:
    """A record's dossier object that lists just these documents. No key service opens it: sweeping needs none."""
    clear = clear_part(sorted(names))
    context = contexts.dossier(record, names_digest(clear))
    return clear + sdk.write(b"", context, key=KeyName.DOSSIER, data_key=bytes(DATA_KEY_BYTES), wrapped=b"by nobody")
