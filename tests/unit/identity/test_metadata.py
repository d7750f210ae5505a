"""What we publish is what we do."""

from __future__ import annotations

import re
from collections import defaultdict

from sceau.access import acts
from sceau.identity.metadata import server_metadata, smart_configuration
from unit.identity.identity_world import ORIGIN, SETTINGS


def test_the_server_metadata_name_what_is_accepted() -> None:
    metadata = server_metadata(SETTINGS)
    assert metadata["issuer"] == ORIGIN
    assert metadata["token_endpoint"] == f"{ORIGIN}/oauth/token"
    assert metadata["revocation_endpoint"] == f"{ORIGIN}/oauth/revoke"
    assert metadata["jwks_uri"] == f"{ORIGIN}/oauth/jwks"
    assert metadata["grant_types_supported"] == [
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ]
    assert metadata["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert metadata["token_endpoint_auth_signing_alg_values_supported"] == ["ES256", "ES384", "PS256", "RS384"]
    assert metadata["dpop_signing_alg_values_supported"] == ["ES256"]
    assert metadata["response_types_supported"] == []


def test_the_smart_configuration_has_what_smart_requires() -> None:
    """SMART App Launch 2.2, section 8.1.1: required members, given no launch and no browser."""
    configuration = smart_configuration(SETTINGS)
    assert {"token_endpoint", "grant_types_supported", "capabilities"} <= set(configuration)
    assert configuration["code_challenge_methods_supported"] == ["S256"]
    assert {"client-confidential-asymmetric", "permission-v2"} <= set(configuration["capabilities"])


def test_the_scopes_are_those_that_some_act_needs() -> None:
    needed: dict[tuple[str, str], set[str]] = defaultdict(set)
    for rule in acts.RULES.values():
        for kind in rule.kinds:
            needed[acts.LEVELS[kind], rule.resource].add(rule.letter)
    wanted = [
        f"{level}/{resource}.{''.join(sorted(letters, key='cruds'.index))}"
        for (level, resource), letters in needed.items()
    ]
    published = server_metadata(SETTINGS)["scopes_supported"]
    assert published == sorted(wanted)
    assert all(re.fullmatch(r"(system|user|patient|ops)/[A-Za-z]+\.[cruds]+", scope) for scope in published)
