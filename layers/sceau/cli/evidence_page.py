"""The evidence report as one page: no script, nothing fetched, made to be printed on A4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

Json = Mapping[str, Any]

_STYLE: Final = """
@page { size: A4; margin: 16mm 14mm 18mm; @bottom-right { content: counter(page) " / " counter(pages); } }
:root { --ink: #16202a; --soft: #56626e; --line: #cfd6dd; --good: #0b6b3a; --part: #7a5a00; --bad: #a3121f; }
* { box-sizing: border-box; }
body { font: 10pt/1.4 "Marianne", "Source Sans 3", "DejaVu Sans", Arial, sans-serif; color: var(--ink);
  max-width: 190mm; margin: 12mm auto; padding: 0 4mm; }
h1 { font-size: 19pt; margin: 0 0 1mm; }
h2 { font-size: 13pt; margin: 9mm 0 2mm; border-bottom: 1.5pt solid var(--ink); break-after: avoid; }
p.lead { color: var(--soft); margin: 0 0 5mm; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .6mm 5mm; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.sum { display: flex; gap: 3mm; margin: 5mm 0; padding: 0; list-style: none; }
.sum li { flex: 1; border: .6pt solid var(--line); border-radius: 1.5mm; padding: 2mm 3mm; }
.sum b { display: block; font-size: 17pt; line-height: 1.1; }
article { border: .6pt solid var(--line); border-radius: 1.5mm; padding: 2.4mm 3.5mm; margin: 0 0 2.6mm;
  break-inside: avoid; }
article.long { break-inside: auto; }
h3 { font-size: 10.5pt; margin: 0 0 1mm; display: flex; gap: 3mm; align-items: baseline; break-after: avoid; }
h3 .no { min-width: 9mm; } h3 .text { flex: 1; }
.state { font-size: 8pt; font-weight: 700; white-space: nowrap; border: .8pt solid;
  border-radius: 1mm; padding: 0 1.6mm; }
.shown { color: var(--good); } .shown-in-part, .owner { color: var(--part); }
.not-shown, .broken { color: var(--bad); }
table { width: 100%; border-collapse: collapse; font-size: 8.3pt; margin-top: 1mm; table-layout: fixed; }
thead { display: table-header-group; }
th { text-align: left; color: var(--soft); font-weight: 600; }
th, td { border-top: .4pt solid var(--line); padding: .7mm 2mm .7mm 0; vertical-align: top; overflow-wrap: anywhere; }
tr { break-inside: avoid; }
.kind { width: 17mm; } .result { width: 16mm; } .when { width: 33mm; }
code { font: 8pt "DejaVu Sans Mono", monospace; } .small { color: var(--soft); font-size: 8pt; }
p.owner-line { margin: 1.4mm 0 0; }
@media print { body { margin: 0; padding: 0; max-width: none; } }
"""

_MEANS: Final = {
    "shown": "all of it shown by software",
    "shown in part": "part of it shown, the rest is its owner's",
    "owner": "no software shows it: its owner does",
    "not shown": "a proof is missing",
    "broken": "a proof failed",
}
_LONG: Final = 8
"""Proofs: an entry with more may be cut at a page's end."""


def page(report: Json) -> str:
    """The report as HTML."""
    frameworks = list(dict.fromkeys(row["framework"] for row in report["requirements"]))
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Evidence, stage {escape(report['stage'])}, {escape(report['at'][:10])}</title>",
        f"<style>{_STYLE}</style></head><body>",
        *_head(report),
    ]
    for framework in frameworks:
        parts.append(f"<section><h2>{escape(framework)}</h2>")
        parts += [part for row in report["requirements"] if row["framework"] == framework for part in _entry(row)]
        parts.append("</section>")
    parts += [*_smoke(report), *_sources(report), "</body></html>", ""]
    return "\n".join(parts)


def _head(report: Json) -> Iterator[str]:
    yield f"<header><h1>Evidence of security measures</h1><p class=lead>Sceau, stage {escape(report['stage'])}</p><dl>"
    for name, value in (
        ("Operated by", report["owner"]),
        ("Host", f"{report['host']}, {report['region']}"),
        ("Made at", _when(report["at"])),
        ("Nobody named as", ", ".join(report["unnamed"]) or "– (every owner is named)"),
    ):
        yield f"<dt>{name}</dt><dd>{escape(str(value))}</dd>"
    yield "</dl></header><ul class=sum>"
    for state, number in report["summary"].items():
        yield f'<li class="{_class(state)}"><b>{number}</b>{state}<div class=small>{_MEANS[state]}</div></li>'
    yield "</ul>"


def _entry(row: Json) -> Iterator[str]:
    yield f"<article{' class=long' if len(row['proofs']) > _LONG else ''}>"
    yield (
        f"<h3><span class=no>{escape(row['number'])}</span><span class=text>{escape(row['text'])}</span>"
        f'<span class="state {_class(row["state"])}">{row["state"]}</span></h3>'
    )
    if row["proofs"]:
        yield (
            "<table><thead><tr><th class=kind>What</th><th>Name, and where it is defined</th>"
            "<th class=result>Result</th><th class=when>When (UTC)</th></tr></thead><tbody>"
        )
        for proof in row["proofs"]:
            colour = {"held": "shown", "broken": "broken"}.get(proof["outcome"], "not-shown")
            yield (
                f"<tr><td>{escape(proof['kind'])}</td><td><b>{escape(proof['name'])}</b>"
                f"<br><code>{escape(proof['defined'])}</code>"
                + (f"<br><span class=small>{escape(proof['seen'])}</span>" if proof["seen"] else "")
                + f'</td><td class="{colour}">{proof["outcome"]}</td><td>{_when(proof["at"])}</td></tr>'
            )
        yield "</tbody></table>"
    if row["owner"]:
        who = row["owner"]["name"] or "nobody is named"
        yield (
            f"<p class=owner-line><b>{escape(row['owner']['role'])}:</b> {escape(who)} – "
            f"{escape(row['owner']['left'])}</p>"
        )
    yield "</article>"


def _smoke(report: Json) -> Iterator[str]:
    yield "<section><h2>Smoke journey on the deployed stage</h2>"
    if not report["smoke"]:
        yield "<p>None was played.</p></section>"
        return
    yield "<table><thead><tr><th>Step</th><th class=result>Result</th><th>What was seen</th></tr></thead><tbody>"
    for one in report["smoke"]:
        told = "held" if one["held"] else "broken"
        colour = "shown" if one["held"] else "broken"
        yield f'<tr><td>{escape(one["name"])}</td><td class="{colour}">{told}</td><td>{escape(one["seen"])}</td></tr>'
    yield "</tbody></table></section>"


def _sources(report: Json) -> Iterator[str]:
    yield "<section><h2>What this report was made from</h2><table><thead><tr><th class=kind>What</th><th>File</th>"
    yield "<th class=when>When (UTC)</th></tr></thead><tbody>"
    for one in report["sources"]:
        digest = f"<br><code>sha256 {one['sha256']}</code>" if one["sha256"] else "<br>not there"
        of = f"<br><span class=small>{escape(one['of'])}</span>" if one["of"] else ""
        yield (
            f"<tr><td>{escape(one['kind'])}</td><td>{escape(one['file'])}{digest}{of}</td><td>{_when(one['at'])}</td></tr>"
        )
    yield "</tbody></table></section>"


def _class(state: str) -> str:
    return state.replace(" ", "-")


def _when(at: str | None) -> str:
    return escape(at[:16].replace("T", " ")) if at else "–"
