"""ITI-105, Simplified Publish: one DocumentReference with its document inline, read into the same Submission as ITI-65.

Sources: wire.md "ITI-105", api.md "Transactions".
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sceau.access.model import Identifier
from sceau.fhir import rules
from sceau.fhir.entries import SentDocument, read_entry
from sceau.fhir.findings import Conditions, Findings
from sceau.fhir.parse import Body
from sceau.fhir.references import patient_named_by, scope_of
from sceau.fhir.sets import derive_set
from sceau.fhir.submission import Submission
from sceau_schemas.fhir.documents import DocumentReference

_AT = "DocumentReference"
_ATTACHMENT = f"{_AT}.content[0].attachment"


def parse_simplified(
    body: Body[DocumentReference],
    *,
    accepted_ins_systems: Collection[str],
    strict: bool,
    received: datetime,
    source_id: Identifier,
    custodian: Identifier | None = None,
) -> Submission:
    """Return the submission that a DocumentReference sent alone makes, with a derived submission set.

    `strict`, `received`, `custodian`: as for `parse_submission`. `source_id`: an identifier of the client that sends,
    for the set.
    FhirError 422 (400 for dangling references), each problem naming its element.
    """
    findings = Findings()
    document = body.resource
    attachment = document.content[0].attachment
    if document.identifier:
        findings.error("ITI-105 has no identifier; the entryUUID is ours to give", f"{_AT}.identifier", rule="ITI-105")
    if attachment.url is not None:
        findings.error("ITI-105 brings the document in data, not by url", f"{_ATTACHMENT}.url", rule="ITI-105")
    encoded = findings.demand(attachment.data, f"{_ATTACHMENT}.data", "ITI-105")
    subject = findings.demand(document.subject, f"{_AT}.subject", "ITI-105")
    findings.stop()
    scope = scope_of(document, _AT)
    patient = patient_named_by(subject, scope, f"{_AT}.subject", accepted_ins_systems)
    data = rules.decode_base64(encoded, f"{_ATTACHMENT}.data", findings)
    sent = SentDocument(body.raw, document, _AT, data, f"{_ATTACHMENT}.data")
    conditions = Conditions(accepted_ins_systems, strict, received, custodian)
    new = read_entry(sent, scope, patient, conditions, findings)
    kind = findings.demand(rules.check_type(document, _AT, findings), f"{_AT}.type", "access depends on the type")
    findings.stop()
    if new is None:
        raise AssertionError("a document was refused without a reason")
    derived = derive_set(new.resource, kind, new.resource["date"], scope, patient, source_id)
    return Submission(
        patient=patient,
        set_resource=derived.resource,
        set_identifiers=derived.identifiers,
        set_terms=derived.terms,
        documents=(new,),
        warnings=tuple(findings.warnings),
        is_simplified=True,
    )
