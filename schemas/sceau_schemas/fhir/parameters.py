"""Parameters: in a transaction, the FHIRPath Patch that supersedes an entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sceau_schemas.fhir.base import Code, Element, Resource, String, check_open_value
from sceau_schemas.fhir.datatypes import Meta


class Parameter(Element):
    """One parameter: a value, a resource, or parts."""

    name: String
    value_string: String | None = None
    value_code: Code | None = None
    resource: dict[str, Any] | None = None
    part: list[Parameter] | None = None

    def check_extra(self, extra: Mapping[str, Any]) -> None:
        """A value may be of any of the open types."""
        rest = {name: value for name, value in extra.items() if name not in self.refused and name != "_name"}
        super().check_extra({name: extra[name] for name in extra.keys() - rest.keys()})
        check_open_value(rest, frozenset())


class Parameters(Resource):
    """A list of parameters."""

    resource_type: Literal["Parameters"]
    id: String | None = None
    meta: Meta | None = None
    parameter: list[Parameter] | None = None
