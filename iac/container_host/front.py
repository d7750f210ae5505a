"""The front of a container host: nginx, which ends TLS, routes by method and path, and proves itself to the containers.

It reads each body whole before it passes it on, refuses what is too large or too often, drops headers that can be read
in two ways, and logs no query: a search by INS has it in the address.

The file is a template as nginx's own image takes them (`/etc/nginx/templates`): `${SCEAU_FRONT_SECRET}` is filled in
from the environment when it starts, so the secret is in no file of ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from iac.packaging.image import PORT
from sceau.fhir.outcome import Problem, operation_outcome
from sceau_schemas.deployment import FunctionSpec, StageSpec

LISTEN: Final = 8443
SECRET: Final = "${SCEAU_FRONT_SECRET}"  # noqa: S105 - where it goes
_PARAMETER: Final = re.compile(r"\\\{[a-z_]+\\\}")
_BASE: Final = "/fhir"
_HEADERS: Final = 32
"""KiB that a request's line or one of its headers may have: an address of 16 KiB, a token with its proof."""

_ERRORS: Final = {
    400: ("structure", "the request can't be read"),
    404: ("not-found", "there is nothing at this address"),
    405: ("not-supported", "this address does not take this method"),
    408: ("timeout", "the request did not come in time"),
    413: ("too-long", "the request's body is over this stage's limit of {largest} bytes"),
    414: ("too-long", "the URL is too long; search by POST"),
    429: ("throttled", "too many requests; send it again later"),
    431: ("too-long", "the request's headers are too large"),
    503: ("transient", "the service can't serve now; send the same request again"),
}
"""What the front says itself, in the words of the service."""

_TOLD_AS: Final = {494: 431, 500: 503, 502: 503, 504: 503}
"""nginx's own number for large headers; and what a caller must take for "not done, or not known": 503, always."""


def nginx_template(
    functions: Mapping[str, FunctionSpec], spec: StageSpec, addresses: Mapping[str, str] | None = None
) -> str:
    """The configuration, for nginx's `http` context. `addresses`: where containers are, if not under their names."""
    served = {name: function for name, function in functions.items() if function.routes}
    places = addresses or {name: f"{name}:{PORT}" for name in served}
    host = urlsplit(spec.origins[0]).hostname
    longest = max(function.timeout_seconds for function in served.values()) + 2
    return "\n".join(
        [
            "# Made from the chalicefile by `make package`: change that, not this.",
            "map_hash_bucket_size 128;",
            *(f"upstream {name} {{ server {places[name]} max_fails=0; keepalive 16; }}" for name in served),
            "# Method and path to the one function that has them. What is not here reaches no container.",
            'map "$request_method $uri" $sceau_function {',
            '    default "";',
            *(f"    {line}" for line in _routes(served)),
            "}",
            "map $uri $sceau_allow {",
            '    default "";',
            *(f"    {line}" for line in _methods(served)),
            "}",
            "# No query and no header: a search by INS has it in its address, and tokens stand in headers.",
            'log_format sceau escape=json \'{"time":"$time_iso8601","method":"$request_method","status":$status,\'',
            '    \'"function":"$sceau_function","bytes":$body_bytes_sent,"seconds":$request_time}\';',
            "limit_req_zone $binary_remote_addr zone=sceau_callers:10m rate=50r/s;",
            "limit_conn_zone $binary_remote_addr zone=sceau_connections:10m;",
            "server {",
            f"    listen {LISTEN} ssl;",
            f"    server_name {host};",
            "    ssl_certificate /run/secrets/tls_certificate;",
            "    ssl_certificate_key /run/secrets/tls_key;",
            "    ssl_protocols TLSv1.2 TLSv1.3;",
            "    # BCP 195, as FAPI 2.0 asks for it.",
            f"    ssl_ciphers {':'.join(_CIPHERS)};",
            "    ssl_prefer_server_ciphers on;",
            "    ssl_session_tickets off;",
            "    server_tokens off;",
            "    access_log /dev/stdout sceau;",
            "    # nginx's error log quotes the request's line, its query too.",
            "    error_log /dev/stderr emerg;",
            "",
            "    underscores_in_headers off;",
            "    ignore_invalid_headers on;",
            "    merge_slashes off;",
            f"    client_max_body_size {spec.largest_body_bytes};",
            "    client_body_timeout 30s;",
            "    client_header_timeout 10s;",
            f"    large_client_header_buffers 4 {_HEADERS}k;",
            "    limit_req zone=sceau_callers burst=200 nodelay;",
            "    limit_conn sceau_connections 64;",
            "    limit_req_status 429;",
            "    limit_conn_status 429;",
            f"    {_HSTS}",
            "",
            "    location / {",
            '        if ($sceau_allow = "") { return 404; }',
            '        if ($sceau_function = "") { return 405; }',
            "        proxy_pass http://$sceau_function;",
            "        proxy_http_version 1.1;",
            '        proxy_set_header Connection "";',
            "        proxy_set_header Host $http_host;",
            f'        proxy_set_header Sceau-Front "{SECRET} for=$remote_addr";',
            '        proxy_set_header Sceau-Scheduler "";',
            "        proxy_request_buffering on;",
            "        proxy_connect_timeout 5s;",
            f"        proxy_read_timeout {longest}s;",
            "        proxy_next_upstream off;",
            "    }",
            *_error_pages(spec.largest_body_bytes),
            "}",
            "",
        ]
    )


_UNREAD: Final = frozenset({400, 408, 414, 431})

_HSTS: Final = 'add_header Strict-Transport-Security "max-age=63072000" always;'
"""Repeated where another header is added: nginx takes none from above then."""

_CIPHERS: Final = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)


def _routes(served: Mapping[str, FunctionSpec]) -> Iterator[str]:
    for name, function in served.items():
        for route in function.routes:
            yield f"{_key(route.method, route.path)} {name};"
            if (route.method, route.path) == ("POST", _BASE):
                yield f"{_key(route.method, route.path + '/')} {name};"  # as the gateway reads it


def _methods(served: Mapping[str, FunctionSpec]) -> Iterator[str]:
    allowed: dict[str, set[str]] = {}
    for function in served.values():
        for route in function.routes:
            allowed.setdefault(route.path, set()).add(route.method)
    if _BASE in allowed:
        allowed[f"{_BASE}/"] = allowed[_BASE]
    for path, methods in allowed.items():
        yield f'{_key("", path)} "{", ".join(sorted(methods))}";'


def _key(method: str, path: str) -> str:
    """A map's key: exact, or a pattern where the path has parameters."""
    text = f"{method} {path}" if method else path
    if "{" not in path:
        return f'"{text}"'
    pattern = _PARAMETER.sub("[^/]+", re.escape(text)).replace("\\ ", " ")
    return f'"~^{pattern}$"'


def _error_pages(largest: int) -> Iterator[str]:
    for status, told in _TOLD_AS.items():
        yield f"    error_page {status} ={told} {_place(told)};"
    for status, (code, text) in _ERRORS.items():
        body = json.dumps(operation_outcome([Problem(code, text.format(largest=largest))])).replace("'", "\\'")
        yield f"    error_page {status} {_place(status)};"
        exact = "" if _place(status).startswith("@") else "= "
        yield f"    location {exact}{_place(status)} {{"
        if exact:
            yield "        internal;"
        yield "        default_type application/fhir+json;"
        yield f"        {_HSTS}"
        yield "        add_header Cache-Control no-store always;"
        if status == 405:  # noqa: PLR2004 - Method Not Allowed
            yield "        add_header Allow $sceau_allow always;"
        if status in (429, 503):
            yield "        add_header Retry-After 1 always;"
        yield f"        return {status} '{body}';"
        yield "    }"


def _place(status: int) -> str:
    """Where an error is told. A request that could not be read has no path, and named places need one."""
    return f"/.front/{status}" if status in _UNREAD else f"@{status}"
