"""`GET /openapi.html`: the description as a plain page.

No script and nothing from elsewhere: it is served as strictly as the record itself, and reads without JavaScript.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "public, max-age=60",
}

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; }
summary { padding: .5rem .75rem; cursor: pointer; } details > div { padding: 0 .75rem .75rem; }
.verb { display: inline-block; min-width: 3.5rem; font-weight: 700; } code { font-family: ui-monospace, monospace; }
.what { color: GrayText; margin-left: .5rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .25rem .5rem; }
tr:nth-child(even) { background: var(--soft); } th { border-bottom: 1px solid var(--line); }
"""


def openapi_page(description: Mapping[str, Any]) -> bytes:
    """Return the page of an OpenAPI description that `openapi` made."""
    info = description["info"]
    groups: dict[str, list[str]] = {}
    for path, methods in sorted(description["paths"].items()):
        for method, operation in methods.items():
            groups.setdefault(_group(path), []).append(_operation(method, path, operation))
    body = "".join(f"<h2>{escape(group)}</h2>{''.join(parts)}" for group, parts in groups.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} {escape(info['version'])}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>"
        f"<p>{escape(info['description'])}</p>"
        f"<p>Base: <code>{escape(description['servers'][0]['url'])}</code> · "
        '<a href="openapi.json">openapi.json</a> · <a href="fhir/metadata">CapabilityStatement</a></p>'
        f"{body}</body></html>"
    ).encode()


def _group(path: str) -> str:
    if path.startswith(("/oauth/", "/.well-known/", "/fhir/.well-known/")):
        return "Tokens"
    if path.startswith("/fhir"):
        return path.split("/")[2] if path.count("/") > 1 else "Transaction"
    return "Service"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one.get('description', 'path'))}</td></tr>"
        for one in operation.get("parameters", ())
    )
    parameters = f"<table><tr><th>Parameter</th><th></th></tr>{rows}</table>" if rows else ""
    bodies = ", ".join(escape(name) for name in operation.get("requestBody", {}).get("content", ()))
    body = f"<p>Body: <code>{bodies}</code></p>" if bodies else ""
    token = "<p>Needs an access token.</p>" if "security" in operation else "<p>Open to anybody.</p>"
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(answer['description'])}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    return (
        f'<details><summary><span class="verb">{escape(method.upper())}</span> <code>{escape(path)}</code>'
        f'<span class="what">{escape(operation["summary"])}</span></summary><div>{token}{body}{parameters}'
        f"<table><tr><th>Answer</th><th></th></tr>{answers}</table></div></details>"
    )
