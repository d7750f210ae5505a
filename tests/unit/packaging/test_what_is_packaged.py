"""Which functions a stage's packages hold: what it deploys, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures import hosted
from iac.packaging import build
from iac.packaging.interpreter import Interpreter
from sceau_schemas.deployment import parse_chalicefile

ROOT = Path(__file__).resolve().parents[3]


class Packing(Interpreter):
    """Packs nothing: which files come out is the question, not what is in them."""

    def run(self, data: bytes, *arguments: str) -> bytes:
        return data


@pytest.mark.parametrize("switched_on", [False, True], ids=["off", "on"])
def test_a_function_that_is_off_has_no_zip(switched_on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = hosted.data()
    if switched_on:
        data["stages"][hosted.AWS]["switched_on"] = {"rewrap": "2026-12-01T00:00:00Z"}
    file = parse_chalicefile(data)
    monkeypatch.setattr(build._Maker, "_wheels", lambda *_: [])
    maker = build._Maker(ROOT, hosted.AWS, file, ROOT / "build" / "cache", {}, Packing(ROOT), {}, ())
    made = maker.lambdas()
    named = {one.name for one in made.artefacts}
    assert named == {"layer", *file.deployed(file.stages[hosted.AWS])}
    assert ("rewrap" in named) == switched_on
    assert set(made.files) == {f"{name}.zip" for name in named}
