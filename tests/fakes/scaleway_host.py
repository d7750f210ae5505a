"""A stand-in for Scaleway's API, written from the models of its SDK (PyPI `scaleway` 2.12.0): audit trail, API keys,
containers. It takes only the fields that the models have, pages its lists, and never shows a secret twice."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
PAGE = 2
"""Its pages are small, whatever is asked for: who reads only the first one is found out."""

FIELDS = {
    "export-jobs": {"name", "organization_id", "tags", "s3"},
    "enable-alert-rules": {"organization_id", "alert_rule_ids"},
    "api-keys": {"application_id", "user_id", "description", "default_project_id", "expires_at"},
    "containers": {"secret_environment_variables"},
}


@dataclass
class Answer:
    status: int
    data: bytes = b""


@dataclass
class ScalewayHost:
    """Its state, and `request` as urllib3's pool has it. `refuses`: a status in place of doing it."""

    clock: Callable[[], datetime]
    token: str
    jobs: list[Json] = field(default_factory=list)
    rules: list[Json] = field(default_factory=list)
    keys: list[Json] = field(default_factory=list)
    containers: dict[str, Json] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    refuses: dict[tuple[str, str], int] = field(default_factory=dict)

    def request(
        self, method: str, url: str, *, headers: Json, body: bytes | None, timeout: float, redirect: bool
    ) -> Answer:
        """Answer one request."""
        assert timeout > 0
        assert redirect is False
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc) == ("https", "api.scaleway.com")
        self.calls.append((method, parts.path))
        if headers.get("X-Auth-Token") != self.token:
            return Answer(401, b'{"type":"denied_authentication"}')
        for (refused, path), status in self.refuses.items():
            if refused == method and re.search(path, parts.path):
                return Answer(status, b'{"message":"the host says something that holds a secret-of-the-host"}')
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        given = json.loads(body) if body is not None else {}
        kind = next((name for name in FIELDS if f"/{name}" in parts.path), "")
        if body is not None:
            assert headers["Content-Type"] == "application/json"
            assert set(given) <= FIELDS[kind], set(given) - FIELDS[kind]
        return self._answer(method, parts.path, query, given)

    def _answer(self, method: str, path: str, query: Json, given: Json) -> Answer:
        trail, region = "/audit-trail/v1alpha1/regions/fr-par", "/containers/v1/regions/fr-par"
        match method, path:
            case "GET", _ if path == f"{trail}/export-jobs":
                assert "organization_id" in query
                return self._page(
                    "export_jobs", [job for job in self.jobs if query.get("name") in (None, job["name"])], query
                )
            case "POST", _ if path == f"{trail}/export-jobs":
                assert set(given["s3"]) <= {"bucket", "region", "prefix", "project_id"}
                job = {
                    "id": str(uuid.uuid4()),
                    "created_at": self._now(),
                    "last_run_at": None,
                    "last_status": None,
                    **given,
                }
                self.jobs.append(job)
                return self._json(job)
            case "GET", _ if path == f"{trail}/alert-rules":
                return self._page("alert_rules", self.rules, query)
            case "POST", _ if path == f"{trail}/enable-alert-rules":
                for rule in self.rules:
                    if rule["id"] in given["alert_rule_ids"]:
                        rule["status"] = "enabling"
                return self._json({"alert_rules": self.rules})
            case "GET", "/iam/v1alpha1/api-keys":
                held = [key for key in self.keys if key["application_id"] == query["bearer_id"]]
                return self._page("api_keys", [{**key, "secret_key": None} for key in held], query)
            case "POST", "/iam/v1alpha1/api-keys":
                return self._json(self._new_key(given))
            case "DELETE", _ if path.startswith("/iam/v1alpha1/api-keys/"):
                access_key = path.rpartition("/")[2]
                before = len(self.keys)
                self.keys = [key for key in self.keys if key["access_key"] != access_key]
                return Answer(204) if len(self.keys) < before else Answer(404)
            case "PATCH", _ if path.startswith(f"{region}/containers/"):
                container = self.containers[path.rpartition("/")[2]]
                container["secret_environment_variables"] = given["secret_environment_variables"]
                return self._json({"id": path.rpartition("/")[2]})
        return Answer(404)

    def _new_key(self, given: Json) -> Json:
        assert len(given["description"]) <= 200
        assert datetime.fromisoformat(given["expires_at"]) > self.clock()
        key = {
            "access_key": f"SCW{uuid.uuid4().hex[:17].upper()}",
            "secret_key": str(uuid.uuid4()),
            "created_at": self._now(),
            "updated_at": self._now(),
            **given,
        }
        self.keys.append(key)
        return key

    def _page(self, name: str, found: list[Json], query: Json) -> Answer:
        start = (int(query["page"]) - 1) * PAGE
        return self._json({name: found[start : start + PAGE], "total_count": len(found)})

    def _now(self) -> str:
        return self.clock().isoformat()

    @staticmethod
    def _json(body: Json) -> Answer:
        return Answer(200, json.dumps(body).encode())
