"""What others vouch for of a stage's log: witnesses, and a time-stamp authority. Without it nobody outside is asked.

Policies and certificates stand in the chalicefile as the text that they are: one place to review, nothing to deploy
beside it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

PERIODS: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1)}

HttpsAddress = Annotated[str, Field(pattern=r"^https://[A-Za-z0-9.\[\]:-]+(/[!-~]*)?$", max_length=1000)]
Pem = Annotated[str, Field(pattern=r"^\s*-----BEGIN CERTIFICATE-----", max_length=200_000)]
ObjectId = Annotated[str, Field(pattern=r"^[0-2](\.(0|[1-9][0-9]{0,18})){1,30}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimestampSpec(_Strict):
    """Whom to ask for time stamps, and how often.

    `certificates`: those who are trusted to vouch for the authority, from its published list; `policy`: the only
    policy that it may stamp under. `tls`: who vouches for the address's TLS certificate, instead of the public ones.
    """

    url: HttpsAddress
    every: Literal["hour", "day"]
    certificates: Pem
    policy: ObjectId | None = None
    tls: Pem | None = None

    @property
    def period(self) -> timedelta:
        """How often."""
        return PERIODS[self.every]


class LogSpec(_Strict):
    """`policy`: the tlog-policy that says which witnesses cosign, how many are needed. `tls`: as above, for them."""

    policy: Annotated[str, Field(min_length=1, max_length=200_000)] | None = None
    tls: Pem | None = None
    timestamps: TimestampSpec | None = None
