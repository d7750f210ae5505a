"""Messages sealed once, with a fixed key file, that must open for ever: what is stored depends on it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from fakes.clock import ManualClock
from sceau.envelope import contexts
from sceau.envelope.batch import BatchOpener
from sceau.envelope.contexts import EVENT_CARRIED, Carried
from sceau.envelope.messages import Envelope, read_context
from sceau.keys.local import LocalKeyService
from sceau.keys.ports import KeyName

RECORD, ENTRY, EVENT_ID = "a" * 26, "b" * 26, "0195f0a1-7c00-7000-8000-000000000001"
DIGEST = bytes(range(32))

DOSSIER = """
AgR4W2aiwnbKH9+kkbUjslCvahztaA69Rcz7BafeKUxjTQ8AlwAEABBkb2N1bWVudHMtc2hhMjU2AEAwMDAxMDIwMzA0MDUwNjA3MDgwOTBhMGIwYzBk
MGUwZjEwMTExMjEzMTQxNTE2MTcxODE5MWExYjFjMWQxZTFmAAZmb3JtYXQAATEAB3B1cnBvc2UAB2Rvc3NpZXIABnJlY29yZAAaYWFhYWFhYWFhYWFh
YWFhYWFhYWFhYWFhYWEAAQAFc2NlYXUAB2Rvc3NpZXIAQQEAAAABISMlJykrLS8xMzU3IpjcvC5N4+5g4YQZ74P0dvBBwoeflq4vrEdA0uoblnKFZvxq
Q2FQIJ6FI/ML2ZeSAgAQAADOxikvuJHxMwWUwQkMWm3uLvvcu39Ol3BmjJo3pa2g0fZez5Qkn44FMV7NtT2zTTT/////AAAAAQAAAAAAAAAAAAAAAQAA
AAnllYa8V5f7ZAzevcSDbBZexKEY/7g/l+61
"""
DOCUMENT = """
AgR4cM7odM4NLdjkw9XzUnCzC7b/axHUl24JembBtEwt5VgAZwAEAAVlbnRyeQAaYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmIABmZvcm1hdAABMQAH
cHVycG9zZQAIZG9jdW1lbnQABnJlY29yZAAaYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWEAAQAFc2NlYXUAB2NvbnRlbnQAQQEAAAABTU9RU1VXWVtd
X2FjjlSfy8YwpoM4s+aDqJiaHhyIVZjYd85uGGc08UVYLsVKVwS5F6mIeqyhj2K99Mk7AgAQAAA1ENtnYWtppiMAybFWP50HJp2p3pb+3uT+qT81INYT
PUvD7NBW5ypiSCaNRhHp4iD/////AAAAAQAAAAAAAAAAAAAAAQAAAAqPbIjSv8/zFJefyHREAg6lcjfzbDkDJW8QKg==
"""
EVENT = """
AgR4y9p1QSaKQGWepJ134F9JrIxkze4h2dAzolYBCriBBT0A+gAHAAViYXRjaAAgNzk3YjdkN2Y4MTgzODU4Nzg5OGI4ZDhmOTE5Mzk1OTcACmNvbW1p
dG1lbnQAQDAwMDEwMjAzMDQwNTA2MDcwODA5MGEwYjBjMGQwZTBmMTAxMTEyMTMxNDE1MTYxNzE4MTkxYTFiMWMxZDFlMWYAD2Rvc3NpZXItdmVyc2lv
bgACMTIABWV2ZW50ACQwMTk1ZjBhMS03YzAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEABmZvcm1hdAABMQAHcHVycG9zZQAFZXZlbnQABnJlY29yZAAa
YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWEAAQAFc2NlYXUAB2pvdXJuYWwAQQEAAAABiYuNj5GTlZeZm52fWNevEzvPGrymCbufQZDQjFyvJYl7wrnR
VOs7SpG9nbUOJHl1XKcSNzLmgXX1c1bMAgAQAAAiZ0FRnr2MMQMjKc6DQjaOz+f0Hj6UmvgiRuhbvJ+Qnl0BHls4I7/Xfaq6LiSVZj3/////AAAAAQAA
AAAAAAAAAAAAAQAAAAhVpRzVkeZhIyy2RGRVgbujc4iK0TzcPyc=
"""


@pytest.fixture
def keys(tmp_path: Path) -> LocalKeyService:
    content = {
        "format": "sceau-local-keys/1",
        "keys": {
            name: {
                "type": "aes-256",
                "versions": [
                    {
                        "number": 1,
                        "created": "2026-03-01T12:00:00Z",
                        "enabled": True,
                        "material": base64.b64encode(bytes([number]) * 32).decode(),
                    }
                ],
            }
            for number, name in enumerate(("dossier", "content", "journal"), start=1)
        },
    }
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return LocalKeyService(path)


def test_the_pinned_dossier_opens(keys: LocalKeyService) -> None:
    context = contexts.dossier(RECORD, DIGEST)
    opened = Envelope(keys).open(KeyName.DOSSIER, base64.b64decode(DOSSIER), context)
    assert (opened.plaintext, opened.context) == (b"a dossier", context)


def test_the_pinned_document_opens(keys: LocalKeyService) -> None:
    context = contexts.document(RECORD, ENTRY)
    opened = Envelope(keys).open(KeyName.CONTENT, base64.b64decode(DOCUMENT), context)
    assert (opened.plaintext, opened.context) == (b"a document", context)


def test_the_pinned_event_opens(keys: LocalKeyService) -> None:
    message, clock = base64.b64decode(EVENT), ManualClock()
    opener = BatchOpener(keys, KeyName.JOURNAL, clock=clock)
    opened = opener.open(message, contexts.event(RECORD, EVENT_ID), carried=EVENT_CARRIED)
    assert opened.plaintext == b"an event"
    assert contexts.read_carried(opened.context) == Carried(DIGEST, 12)
    assert opened.context == read_context(message)


def test_the_bytes_that_the_format_fixes() -> None:
    message = base64.b64decode(DOCUMENT)
    assert message[:3] == bytes.fromhex("02 0478")
    context = b"".join(
        len(text).to_bytes(2, "big") + text.encode()
        for pair in sorted(contexts.document(RECORD, ENTRY).items())
        for text in pair
    )
    assert message[35:].startswith((2 + len(context)).to_bytes(2, "big") + b"\x00\x04" + context)
    rest = message[37 + 2 + len(context) :]
    assert rest.startswith(b"\x00\x01\x00\x05sceau\x00\x07content\x00\x41" + b"\x01\x00\x00\x00\x01")
    assert rest[2 + 7 + 9 + 2 + 65 :].startswith(b"\x02\x00\x10\x00\x00")
