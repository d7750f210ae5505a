"""Search over the rows of one record: a table of parameters, a parsed query, a page. Pure.

In order: `parse_query` (or `PageTokens.open` for `?page=`), the caller compares the patient with the token's record,
`search` or `run`, `PageTokens.seal` for the links.
"""

from sceau.fhir.search.criteria import Position, Query
from sceau.fhir.search.paging import PageCaller, PageSeal, PageTokens
from sceau.fhir.search.parameters import PREFIXES, TABLES, Parameter
from sceau.fhir.search.query import parse_query
from sceau.fhir.search.run import Page, Places, run, search

__all__ = [
    "PREFIXES",
    "TABLES",
    "Page",
    "PageCaller",
    "PageSeal",
    "PageTokens",
    "Parameter",
    "Places",
    "Position",
    "Query",
    "parse_query",
    "run",
    "search",
]
