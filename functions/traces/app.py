"""Who did what: ITI-81; notices, and the review of emergency accesses."""

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


@app.route("/fhir/Communication", methods=["GET"], content_types=ANY)
def find_communications() -> Response:
    return app.serve(Traces.find_notices)


@app.route("/fhir/Communication/{resource_id}/$review", methods=["POST"], content_types=ANY)
def review_communication(resource_id: str) -> Response:
    return app.serve(Traces.review, resource_id=resource_id)


@app.route("/ops/emergency-reviews", methods=["GET"], content_types=ANY)
def count_emergency_reviews() -> Response:
    return app.serve(Traces.review_figures)


@app.route("/fhir/AuditEvent/{resource_id}/$proof", methods=["GET"], content_types=ANY)
def prove_audit_event(resource_id: str) -> Response:
    return app.serve(Traces.proof, resource_id=resource_id)


@app.route("/healthz/traces", methods=["GET"], content_types=ANY)
def health() -> Response:
    return app.health()
