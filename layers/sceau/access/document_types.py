"""Document types (JDV_J07) that are one side's to deposit, and nobody else's."""

from __future__ import annotations

from typing import Final

INSURER_TYPES: Final = frozenset({"REMB"})
"""Document types that only the insurer feeds (CSP R. 1111-42, reimbursement data; type REMB of JDV_J07)."""

PATIENT_TYPES: Final = frozenset(
    {f"DOCPAT{number:02}" for number in range(1, 11)}
    | {"EXPPAT_1", "EXPPAT_2", "EXPPAT_3", "74465-6", "FICHE-CONTACTS", "CONTACTS-URGENCE"}
)
"""Types of the holder's own documents (CSP R. 1111-42): what patients deposit, directives, emergency contacts."""
