"""Custody: what either service alone can do (nothing), and what the bytes are."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from fakes.key_stands import local
from fakes.keys import PolicingKeys, on
from sceau.keys.custody import CustodyKeyService
from sceau.keys.errors import KeyServiceUnavailable, UnwrapRefused
from sceau.keys.local import LocalKeyService
from sceau.keys.ports import KeyName, KeyService
from sceau.keys.scoped import KeyOperation
from sceau.keys.wrapped import custody_parts

CONTEXT = {"format": "1", "purpose": "document"}
DATA_KEY = bytes(range(32, 64))
BOTH = {KeyName.CONTENT, KeyName.DOSSIER}


@pytest.fixture
def services(tmp_path: Path) -> tuple[PolicingKeys, PolicingKeys]:
    folders = (tmp_path / "one", tmp_path / "other")
    for folder in folders:
        folder.mkdir()
    return PolicingKeys(local(folders[0]).keys), PolicingKeys(local(folders[1]).keys)


@pytest.fixture
def keys(services: tuple[PolicingKeys, PolicingKeys]) -> CustodyKeyService:
    return CustodyKeyService(*services, BOTH)


def test_each_operation_asks_each_service_once(
    keys: CustodyKeyService, services: tuple[PolicingKeys, PolicingKeys]
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    assert keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT) == DATA_KEY
    for service in services:
        assert [call.operation for call in service.calls] == [KeyOperation.WRAP, KeyOperation.UNWRAP]


def test_neither_service_alone_gives_the_key(
    keys: CustodyKeyService, services: tuple[PolicingKeys, PolicingKeys]
) -> None:
    first, second = custody_parts(keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT))
    of_first = services[0].unwrap(KeyName.CONTENT, first, CONTEXT)
    of_second = services[1].unwrap(KeyName.CONTENT, second, {**CONTEXT, "custody": sha256(first).hexdigest()})
    assert DATA_KEY not in {of_first, of_second}
    assert bytes(a ^ b for a, b in zip(of_first, of_second, strict=True)) == DATA_KEY


def test_the_first_part_is_random_each_time(
    keys: CustodyKeyService, services: tuple[PolicingKeys, PolicingKeys]
) -> None:
    masks = set()
    for _ in range(20):
        first, _second = custody_parts(keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT))
        masks.add(services[0].unwrap(KeyName.CONTENT, first, CONTEXT))
    assert len(masks) == 20


def test_parts_of_two_keys_of_one_place_do_not_fit_together(keys: CustodyKeyService) -> None:
    one, other = (keys.wrap(KeyName.CONTENT, bytes([n] * 32), CONTEXT) for n in (1, 2))
    (first, _), (_, second) = custody_parts(one), custody_parts(other)
    mixed = one[:3] + first + second
    with pytest.raises(UnwrapRefused):
        keys.unwrap(KeyName.CONTENT, mixed, CONTEXT)


def test_what_one_service_alone_wrapped_does_not_open(
    keys: CustodyKeyService, services: tuple[PolicingKeys, PolicingKeys]
) -> None:
    for service in services:
        alone = service.inner.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
        with pytest.raises(UnwrapRefused, match="not in the custody of two"):
            keys.unwrap(KeyName.CONTENT, alone, CONTEXT)


def test_while_a_stage_moves_into_custody_what_the_first_alone_wrapped_opens(
    services: tuple[PolicingKeys, PolicingKeys],
) -> None:
    moving = CustodyKeyService(*services, BOTH, single=True)
    before = services[0].wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    assert moving.unwrap(KeyName.CONTENT, before, CONTEXT) == DATA_KEY
    after = moving.wrap(KeyName.CONTENT, bytes(range(32)), CONTEXT)
    assert moving.unwrap(KeyName.CONTENT, after, CONTEXT) == bytes(range(32))
    assert len(custody_parts(after)) == 2, "new ones are in custody from the start"
    with pytest.raises(UnwrapRefused):
        moving.unwrap(KeyName.CONTENT, services[1].inner.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT), CONTEXT)


@pytest.mark.parametrize("key", [KeyName.JOURNAL, KeyName.CONFIGURATION, KeyName.PSEUDONYM])
def test_other_purposes_are_the_first_service_s_alone(
    key: KeyName, keys: CustodyKeyService, services: tuple[PolicingKeys, PolicingKeys]
) -> None:
    assert keys.unwrap(key, keys.wrap(key, DATA_KEY, CONTEXT), CONTEXT) == DATA_KEY
    assert services[1].calls == []


def test_signatures_are_the_first_service_s(
    keys: CustodyKeyService, services: tuple[PolicingKeys, PolicingKeys]
) -> None:
    (public,) = keys.public_keys(KeyName.TOKENS)
    keys.sign(KeyName.TOKENS, bytes(32), version=public.version)
    assert public in services[0].public_keys(KeyName.TOKENS)
    assert services[1].calls == []
    with pytest.raises(ValueError, match="signing key"):
        CustodyKeyService(*services, {KeyName.TOKENS})


@pytest.mark.parametrize("broken", [0, 1])
def test_without_either_service_nothing_is_wrapped_or_unwrapped(
    broken: int, keys: CustodyKeyService, services: tuple[PolicingKeys, PolicingKeys]
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    services[broken].fails = on(KeyOperation.WRAP)
    with pytest.raises(KeyServiceUnavailable):
        keys.wrap(KeyName.CONTENT, bytes(range(32)), CONTEXT)
    services[broken].fails = on(KeyOperation.UNWRAP)
    with pytest.raises(KeyServiceUnavailable):
        keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT)


def test_a_context_with_the_reserved_pair_is_refused(keys: CustodyKeyService) -> None:
    with pytest.raises(ValueError, match="reserved"):
        keys.wrap(KeyName.CONTENT, DATA_KEY, {**CONTEXT, "custody": "x"})


def test_pinned_wrapped_key(tmp_path: Path) -> None:
    def service(material: str, name: str) -> KeyService:
        path = tmp_path / name
        path.write_text(
            '{"format": "sceau-local-keys/1", "keys": {"content": {"type": "aes-256", "versions": [{"number": 7, '
            f'"created": "2026-03-01T12:00:00Z", "enabled": true, "material": "{material}"}}]}}}}}}'
        )
        path.chmod(0o600)
        return LocalKeyService(path, random_bytes=lambda count: bytes(range(100, 100 + count)))

    first = service("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "one")
    second = service("ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=", "other")
    keys = CustodyKeyService(first, second, BOTH, random_bytes=lambda count: bytes(range(200, 200 + count)))
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    # Made here a second time by hand, from docs/formats/wrapped-data-key.md.
    mask = bytes(range(200, 232))
    part = first.wrap(KeyName.CONTENT, mask, CONTEXT)
    context: Mapping[str, str] = {**CONTEXT, "custody": sha256(part).hexdigest()}
    rest = second.wrap(KeyName.CONTENT, bytes(a ^ b for a, b in zip(DATA_KEY, mask, strict=True)), context)
    assert wrapped == bytes.fromhex("06 0041") + part + rest
    assert wrapped.hex() == PINNED
    assert keys.unwrap(KeyName.CONTENT, bytes.fromhex(PINNED), CONTEXT) == DATA_KEY


PINNED = (
    "06004101000000076465666768696a6b6c6d6e6f80d214adb5249851eeb38d3b0eb0bc2a9a1bdcd157b12dad47304eab1f46"
    "43af73a22137336ed88ad2f1dfd8a8aac64101000000076465666768696a6b6c6d6e6f5d85663b37591c2524ac272072ef66"
    "95216a0d96d62286a51b98b6a7af91fffb88bca06d161c2f487b3460c77bd2627a"
)
