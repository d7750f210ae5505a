"""Systems of national identifiers that decisions, traces and resources all name. Source: ANS, JDV and NOS, 2026."""

from __future__ import annotations

from typing import Final

IDNAT_PS: Final = "urn:oid:1.2.250.1.71.4.2.1"
"""IdNat_PS: whoever has one is a person."""

IDNAT_STRUCT: Final = "urn:oid:1.2.250.1.71.4.2.2"
"""IdNat_Struct: of a care structure."""
