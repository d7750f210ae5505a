"""What we publish about the token endpoint: RFC 8414 metadata and the SMART configuration."""

from __future__ import annotations

from typing import Any

from sceau.identity.clients import ASSERTION_ALGORITHMS
from sceau.identity.dpop import ALGORITHMS as PROOF_ALGORITHMS
from sceau.identity.grants import GRANTS
from sceau.identity.settings import JWKS_PATH, REVOKE_PATH, TOKEN_PATH, IdentitySettings

_AUTHENTICATION = ["private_key_jwt"]
_SCOPES = [
    "ops/ReviewQueue.s",
    "patient/AuditEvent.s",
    "patient/Communication.s",
    "patient/Consent.cus",
    "patient/DocumentReference.crus",
    "patient/List.rs",
    "patient/Patient.s",
    "system/AuditEvent.s",
    "system/Communication.us",
    "system/Consent.cu",
    "system/DocumentReference.cus",
    "user/Communication.s",
    "user/Consent.cus",
    "user/DocumentReference.crus",
    "user/List.rs",
    "user/Patient.s",
]
"""The widest scope that some act needs, per level and resource: a test holds this to the table of `access.acts`."""


def server_metadata(settings: IdentitySettings) -> dict[str, Any]:
    """`/.well-known/oauth-authorization-server` (RFC 8414). There is no authorization endpoint, so no response type.

    DPoP proofs are taken with ES256 only.
    """
    origin = settings.origins[0]
    return {
        "issuer": settings.issuer,
        "token_endpoint": origin + TOKEN_PATH,
        "revocation_endpoint": origin + REVOKE_PATH,
        "jwks_uri": origin + JWKS_PATH,
        "response_types_supported": [],
        "grant_types_supported": list(GRANTS),
        "token_endpoint_auth_methods_supported": _AUTHENTICATION,
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": _AUTHENTICATION,
        "revocation_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "dpop_signing_alg_values_supported": list(PROOF_ALGORITHMS),
        "scopes_supported": _SCOPES,
    }


def smart_configuration(settings: IdentitySettings) -> dict[str, Any]:
    """`/.well-known/smart-configuration` (SMART App Launch 2.2, section 8): backend services, no launch."""
    return {
        **server_metadata(settings),
        # Required by SMART though nothing here starts a launch: PKCE would be S256, never plain.
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
    }
