"""Scaleway's API, as far as preparing a stage needs it: audit trail, API keys, containers. NEVER RUN LIVE.

Wire facts: the models of the provider's SDK (PyPI `scaleway` 2.12.0). Answers are read as far as they are needed; an
answer's text never goes into an error, since a request may have held a secret.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import urllib3

ORIGIN: Final = "https://api.scaleway.com"
PAGE: Final = 100
_SECONDS: Final = 10.0
_OK: Final = range(200, 300)
_MOST_PAGES: Final = 100


class HostRefused(Exception):
    """The host did not do what was asked. The message is one sentence without a secret."""


class ScalewayApi:
    """Requests as the holder of `secret_key` (of an IAM API key). `http`: urllib3's pool, or what behaves like it."""

    def __init__(self, http: Any, secret_key: str, *, origin: str = ORIGIN) -> None:
        self._http = http
        self._headers = {"X-Auth-Token": secret_key, "Accept": "application/json"}
        self._origin = origin

    def all(self, path: str, key: str, **query: str) -> Iterator[dict[str, Any]]:
        """Everything of a list that comes in pages. Raises HostRefused."""
        seen = 0
        for page in range(1, _MOST_PAGES + 1):
            answer = self.ask("GET", f"{path}?{urlencode({**query, 'page': str(page), 'page_size': str(PAGE)})}")
            found = answer.get(key) or []
            yield from found
            seen += len(found)
            if not found or seen >= int(answer.get("total_count") or 0):
                return
        raise HostRefused(f"the list of {key} has no end")

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One request; the answer's JSON, {} where it has none. Raises HostRefused."""
        headers = {**self._headers, **({"Content-Type": "application/json"} if body is not None else {})}
        data = json.dumps(body).encode() if body is not None else None
        told = f"{method} {path.partition('?')[0]}"
        try:
            answer = self._http.request(
                method, f"{self._origin}{path}", headers=headers, body=data, timeout=_SECONDS, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise HostRefused(f"{told}: the host does not answer ({type(error).__name__})") from None
        if answer.status not in _OK:
            raise HostRefused(f"{told}: the host answered {answer.status}")
        try:
            read = json.loads(answer.data) if answer.data else {}
        except ValueError:
            raise HostRefused(f"{told}: the host's answer is no JSON") from None
        if not isinstance(read, dict):
            raise HostRefused(f"{told}: the host's answer is of another form")
        return read
