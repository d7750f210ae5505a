"""Stateless nonces: who may use one, where, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sceau.identity.nonce import NonceRole, Nonces

NOW = datetime(2026, 3, 2, 9, 30, 30, tzinfo=UTC)
KEY = bytes(range(32))
JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
TOKEN, RESOURCE = Nonces(KEY, NonceRole.TOKEN), Nonces(KEY, NonceRole.RESOURCE)


def test_a_nonce_is_frozen_bytes() -> None:
    """Processes of two releases must agree: a change of this value needs another format byte."""
    assert TOKEN.current(JKT, NOW) == "AQHCwXqSLd_3WzlqUwz0QBesj24496ApQvdlkUEAZ0zT_5wH4w"


@pytest.mark.parametrize(("seconds", "good"), [(-31, False), (-30, True), (0, True), (149, True), (150, False)])
def test_a_nonce_counts_in_its_minute_and_the_two_after(seconds: int, good: bool) -> None:
    assert TOKEN.accepts(TOKEN.current(JKT, NOW), JKT, NOW + timedelta(seconds=seconds)) is good


def test_any_process_with_the_same_key_accepts_it() -> None:
    assert Nonces(KEY, NonceRole.TOKEN).accepts(TOKEN.current(JKT, NOW), JKT, NOW)


def test_a_nonce_for_another_key_role_or_stage_does_not_count() -> None:
    assert not TOKEN.accepts(TOKEN.current("another", NOW), JKT, NOW)
    assert not TOKEN.accepts(RESOURCE.current(JKT, NOW), JKT, NOW)
    assert not TOKEN.accepts(Nonces(bytes(32), NonceRole.TOKEN).current(JKT, NOW), JKT, NOW)


@pytest.mark.parametrize("position", range(50))
def test_a_changed_character_is_found(position: int) -> None:
    nonce = TOKEN.current(JKT, NOW)
    changed = nonce[:position] + ("A" if nonce[position] != "A" else "B") + nonce[position + 1 :]
    assert not TOKEN.accepts(changed, JKT, NOW)


@pytest.mark.parametrize("nonce", [None, 7, "", "AQ", "é" * 50, "A" * 1000, b"x"])
def test_what_is_no_nonce_does_not_count(nonce: object) -> None:
    assert not TOKEN.accepts(nonce, JKT, NOW)
