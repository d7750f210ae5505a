"""Why an identity was not established. Messages never carry a token, a key, an INS or a name.

Two refusals reach the wire: `OAuthRefusal` at the token and revocation endpoints (RFC 6749, section 5.2) and
`ResourceRefusal` at the FHIR endpoints (RFC 6750 and 9449). All others are turned into one of these where they are
caught. `Unavailable` is 503 everywhere: the act was not done, or it is not known whether it was.
"""

from __future__ import annotations

from enum import StrEnum


class IdentityError(Exception):
    """Base of the family."""


class JwsRefused(IdentityError):
    """The text is not a compact JWS that we accept, or its signature is not of the expected key."""


class EvidenceRefused(IdentityError):
    """Evidence of who sent a submission does not hold."""


class KeyRefused(IdentityError, ValueError):
    """A JSON Web Key that we don't accept: private, weak, malformed, or for another use."""


class ProofRefused(IdentityError):
    """The DPoP proof is missing, repeated, malformed, stale, of another request or another key."""


class NonceWanted(ProofRefused):
    """The proof is in order but carries no nonce of ours that still counts (RFC 9449, section 8). Send `nonce`."""

    def __init__(self, nonce: str) -> None:
        super().__init__("the DPoP proof needs the nonce that this answer gives")
        self.nonce = nonce


class Replayed(IdentityError):
    """A one-time value came back."""


class Unavailable(IdentityError):
    """A store, key service or issuer did not answer as it must: nothing is decided, so nothing is granted."""


class ConfigurationDamaged(Unavailable):
    """A configuration object does not open, or does not hold what it must."""


class ConfigurationChanged(IdentityError):
    """Somebody else changed the same configuration object at the same time. Nothing was written."""


class Reason(StrEnum):
    """Why a token was issued, refused or revoked. The value is stable: it stands in traces and counters."""

    ISSUED = "token.issued"
    REVOKED = "token.revoked"
    MALFORMED = "request.malformed"
    PROOF = "proof.refused"
    PROOF_NONCE = "proof.nonce-wanted"
    PROOF_REPLAYED = "proof.replayed"
    CLIENT = "client.not-authenticated"
    ASSERTION_REPLAYED = "client.assertion-replayed"
    GRANT_UNKNOWN = "grant.unknown"
    GRANT_NOT_ALLOWED = "grant.not-allowed"
    SCOPE = "scope.refused"
    TARGET = "target.refused"
    SUBJECT_TOKEN = "subject.token-refused"  # noqa: S105 - a reason, not a secret
    SUBJECT_ISSUER = "subject.issuer-unknown"
    SUBJECT_STALE = "subject.stale"
    SUBJECT_ACR = "subject.assurance-too-low"
    SUBJECT_AZP = "subject.other-relying-party"
    SUBJECT_INACTIVE = "subject.inactive"
    SUBJECT_BOUND = "subject.bound-to-another-key"
    SUBJECT_REPLAYED = "subject.replayed"
    SUBJECT_IDENTITY = "subject.identity-incomplete"
    NOT_PROFESSIONAL = "subject.not-a-professional"
    NO_STRUCTURE = "subject.no-common-structure"
    STRUCTURE_UNDECIDED = "subject.structure-undecided"
    ACTOR_TOKEN = "subject.actor-token-refused"  # noqa: S105 - a reason, not a secret
    PATIENT = "patient.refused"
    MODE = "mode.refused"
    MODE_NOT_DECLARED = "mode.not-declared"
    MODE_NOT_ENTITLED = "mode.not-entitled"
    DECLARATION = "mode.declaration-refused"
    DECLARATION_EXPIRED = "mode.declaration-expired"
    TOKEN = "token.refused"  # noqa: S105 - a reason, not a secret
    TOKEN_REVOKED = "token.was-revoked"  # noqa: S105 - a reason, not a secret
    TOKEN_OF_ANOTHER_CLIENT = "token.of-another-client"  # noqa: S105 - a reason, not a secret
    UNAVAILABLE = "service.unavailable"


class OAuthError(StrEnum):
    """Error codes on the wire, each with one status (`STATUS`). Sources: RFC 6749 5.2, 8693 2.2.2, 9449 5 and 8."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    INVALID_SCOPE = "invalid_scope"
    INVALID_TARGET = "invalid_target"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    INVALID_DPOP_PROOF = "invalid_dpop_proof"
    USE_DPOP_NONCE = "use_dpop_nonce"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"


STATUS = {OAuthError.INVALID_CLIENT: 401, OAuthError.TEMPORARILY_UNAVAILABLE: 503}
"""HTTP status of an error code; 400 for those not named."""


class OAuthRefusal(IdentityError):
    """A refusal at `/oauth/…`. `description` is for the client's developer; `reason` is for the trace."""

    def __init__(self, error: OAuthError, reason: Reason, description: str, *, nonce: str | None = None) -> None:
        super().__init__(f"{error}: {reason}")
        self.error = error
        self.reason = reason
        self.description = description
        self.nonce = nonce
        self.status = STATUS.get(error, 400)
        self.event_id: str | None = None
        """The trace of this refusal, when it was traced."""


class ResourceRefusal(IdentityError):
    """A refusal of a FHIR request: 401, with the `WWW-Authenticate` value and, where known, the nonce to give."""

    status = 401

    def __init__(self, error: str | None, reason: Reason, description: str, *, nonce: str | None = None) -> None:
        super().__init__(f"{error or 'no token'}: {reason}")
        self.error = error
        self.reason = reason
        self.description = description
        self.nonce = nonce

    @property
    def www_authenticate(self) -> str:
        """RFC 9449, section 7.1. A request without any credential gets no error code (RFC 6750, section 3.1)."""
        parts = ['algs="ES256"']
        if self.error is not None:
            parts += [f'error="{self.error}"', f'error_description="{self.description}"']
        return "DPoP " + ", ".join(parts)


class TokenRefused(IdentityError):
    """The access token is not ours, not valid now, or not of the form that we issue."""
