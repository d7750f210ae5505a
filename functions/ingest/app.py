"""Publication of documents: ITI-65 and ITI-105; changes of their entries: TD3.3."""

from chalice.app import Response

from sceau.http.chalice_app import ANY, SceauApp
from sceau.http.ingest import Ingest, build
from sceau.stage import runtime_of

app = SceauApp("ingest", lambda: build(runtime_of("ingest")))


@app.route("/fhir", methods=["POST"], content_types=ANY)
def transaction() -> Response:
    return app.serve(Ingest.provide_bundle)


@app.route("/fhir/DocumentReference", methods=["POST"], content_types=ANY)
def simplified_publish() -> Response:
    return app.serve(Ingest.simplified_publish)


@app.route("/fhir/DocumentReference", methods=["PATCH"], content_types=ANY)
def patch_by_identifier() -> Response:
    return app.serve(Ingest.patch)


@app.route("/fhir/DocumentReference/{resource_id}", methods=["PATCH"], content_types=ANY)
def patch(resource_id: str) -> Response:
    return app.serve(Ingest.patch, resource_id=resource_id)


@app.route("/healthz/ingest", methods=["GET"], content_types=ANY)
def health() -> Response:
    return app.health()
