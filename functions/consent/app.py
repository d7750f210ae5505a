"""Rights on the record: its opening and closing, and the decisions about it."""

from chalice.app import Response

from sceau.http.chalice_app import ANY, SceauApp
from sceau.http.consent import Consents, build
from sceau.stage import runtime_of

app = SceauApp("consent", lambda: build(runtime_of("consent")))


@app.route("/fhir/Consent", methods=["GET"], content_types=ANY)
def find_consents() -> Response:
    return app.serve(Consents.find)


@app.route("/fhir/Consent", methods=["POST"], content_types=ANY)
def create_consent() -> Response:
    return app.serve(Consents.create)


@app.route("/fhir/Consent/{resource_id}", methods=["PUT"], content_types=ANY)
def update_consent(resource_id: str) -> Response:
    return app.serve(Consents.update, resource_id=resource_id)


@app.route("/fhir/Consent/{resource_id}", methods=["GET"], content_types=ANY)
def read_consent(resource_id: str) -> Response:
    return app.serve(Consents.read, resource_id=resource_id)


@app.route("/fhir/Consent/{resource_id}/_history", methods=["GET"], content_types=ANY)
def consent_history(resource_id: str) -> Response:
    return app.serve(Consents.history, resource_id=resource_id)


@app.route("/healthz/consent", methods=["GET"], content_types=ANY)
def health() -> Response:
    return app.health()
