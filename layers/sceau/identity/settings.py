"""What a stage says about its tokens. No defaults: a stage that does not say does not start."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
REVOKE_PATH: Final = "/oauth/revoke"
JWKS_PATH: Final = "/oauth/jwks"

MAX_TOKEN_SECONDS: Final = 300
"""Longest life of a token (auth.md, "Smallest secure subset"; SMART recommends the same)."""

_ORIGIN = re.compile(r"https://(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySettings:
    """Settings of the authorization server, and of whoever verifies its tokens.

    `issuer`: the `iss` of our tokens, an origin. `origins`: all origins under which the stage is reached, lowercase,
    without default port or final slash; `htu` is compared with these and never with the Host header. `audience`: the
    `aud` of our tokens. `nonce_required`: a proof without a nonce of ours is refused. `replay_marks_for_reads`: a
    proof that comes back is refused on GET and HEAD too, at the price of one write.
    """

    issuer: str
    origins: tuple[str, ...]
    audience: str
    token_seconds: int
    nonce_required: bool
    replay_marks_for_reads: bool

    def __post_init__(self) -> None:
        if not self.origins or not all(_ORIGIN.fullmatch(origin) for origin in (*self.origins, self.issuer)):
            raise ValueError("issuer and origins are https origins: lowercase, no path, no final slash")
        if any(origin.endswith(":443") for origin in self.origins):
            raise ValueError("an origin does not name the default port")
        if not 1 <= self.token_seconds <= MAX_TOKEN_SECONDS:
            raise ValueError(f"token_seconds is between 1 and {MAX_TOKEN_SECONDS}")
        if not self.audience:
            raise ValueError("audience is missing")

    @property
    def token_urls(self) -> tuple[str, ...]:
        """The token endpoint's address under each origin."""
        return tuple(origin + TOKEN_PATH for origin in self.origins)

    @property
    def assertion_audiences(self) -> frozenset[str]:
        """What a client assertion may name as its audience: SMART wants the token address, FAPI 2.0 the issuer."""
        return frozenset((self.issuer, *self.token_urls))
