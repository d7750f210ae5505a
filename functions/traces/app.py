"""Who did what: ITI-81."""

from chalice.app import Response

from sceau.http.chalice_app import ANY, SceauApp
from sceau.http.traces import Traces, build
from sceau.stage import runtime_of

app = SceauApp("traces", lambda: build(runtime_of("traces")))


@app.route("/fhir/AuditEvent", methods=["GET"], content_types=ANY)
def find_audit_events() -> Response:
    return app.serve(Traces.find)


@app.route("/fhir/AuditEvent/{resource_id}", methods=["GET"], content_types=ANY)
def read_audit_event(resource_id: str) -> Response:
    return app.serve(Traces.read, resource_id=resource_id)


@app.route("/fhir/AuditEvent/{resource_id}/$proof", methods=["GET"], content_types=ANY)
def prove_audit_event(resource_id: str) -> Response:
    return app.serve(Traces.proof, resource_id=resource_id)


@app.route("/healthz/traces", methods=["GET"], content_types=ANY)
def health() -> Response:
    return app.health()
