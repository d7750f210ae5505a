"""What is said of parameters that a search does not know: their names come from the client."""

from __future__ import annotations

import pytest

from sceau.fhir.outcome import FhirError
from sceau.fhir.search.ignoring import unknown


def test_without_any_nothing_is_said() -> None:
    assert unknown((), strict=False) == unknown((), strict=True) == ()


def test_an_unknown_parameter_is_a_warning_that_names_it() -> None:
    (problem,) = unknown(["colour"], strict=False)
    assert (problem.severity, problem.code, problem.expression) == ("warning", "not-supported", "colour")
    assert problem.text == "`colour` is not supported and was ignored"


def test_under_strict_handling_each_is_an_error() -> None:
    with pytest.raises(FhirError) as refused:
        unknown(["colour", "shape"], strict=True)
    assert refused.value.status == 400
    assert [(one.severity, one.expression) for one in refused.value.problems] == [
        ("error", "colour"),
        ("error", "shape"),
    ]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", ["279035121518989", "<script>", "DUPONT Marie", "a" * 65, "", "é"])
def test_what_does_not_look_like_a_name_is_not_repeated(name: str, strict: bool) -> None:
    try:
        (problem,) = unknown([name], strict=strict)
    except FhirError as refused:
        (problem,) = refused.problems
    assert problem.expression is None
    assert problem.text.startswith("(a name of other characters) is not supported")
