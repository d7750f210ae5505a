"""Finding and reading: TD0.2, ITI-67, ITI-68, reads by id."""

from chalice.app import Response

from sceau.http.chalice_app import ANY, SceauApp
from sceau.http.retrieval import Retrieval, build
from sceau.stage import runtime_of

app = SceauApp("retrieval", lambda: build(runtime_of("retrieval")))


@app.route("/fhir/metadata", methods=["GET"], content_types=ANY)
def metadata() -> Response:
    return app.serve(Retrieval.metadata)


@app.route("/openapi.json", methods=["GET"], content_types=ANY)
def openapi() -> Response:
    return app.serve(Retrieval.openapi)


@app.route("/openapi.html", methods=["GET"], content_types=ANY)
def openapi_page() -> Response:
    return app.serve(Retrieval.openapi_page)


@app.route("/fhir/Patient", methods=["GET"], content_types=ANY)
def find_patient() -> Response:
    return app.serve(Retrieval.find_patient)


@app.route("/fhir/Patient/_search", methods=["POST"], content_types=ANY)
def find_patient_by_form() -> Response:
    return app.serve(Retrieval.find_patient)


@app.route("/fhir/DocumentReference", methods=["GET"], content_types=ANY)
def find_document_references() -> Response:
    return app.serve(Retrieval.find_document_references)


@app.route("/fhir/DocumentReference/_search", methods=["POST"], content_types=ANY)
def find_document_references_by_form() -> Response:
    return app.serve(Retrieval.find_document_references)


@app.route("/fhir/DocumentReference/{resource_id}", methods=["GET"], content_types=ANY)
def read_document_reference(resource_id: str) -> Response:
    return app.serve(Retrieval.read_document_reference, resource_id=resource_id)


@app.route("/fhir/DocumentReference/{resource_id}/_history", methods=["GET"], content_types=ANY)
def document_reference_history(resource_id: str) -> Response:
    return app.serve(Retrieval.document_reference_history, resource_id=resource_id)


@app.route("/fhir/DocumentReference/{resource_id}/_history/{version_id}", methods=["GET"], content_types=ANY)
def read_document_reference_version(resource_id: str, version_id: str) -> Response:
    return app.serve(Retrieval.read_document_reference_version, resource_id=resource_id, version_id=version_id)


@app.route("/fhir/Binary/{resource_id}", methods=["GET"], content_types=ANY)
def retrieve_document(resource_id: str) -> Response:
    return app.serve(Retrieval.retrieve_document, resource_id=resource_id)


@app.route("/fhir/Bundle/{resource_id}", methods=["GET"], content_types=ANY)
def retrieve_fhir_document(resource_id: str) -> Response:
    return app.serve(Retrieval.retrieve_fhir_document, resource_id=resource_id)


@app.route("/fhir/List", methods=["GET"], content_types=ANY)
def find_lists() -> Response:
    return app.serve(Retrieval.find_lists)


@app.route("/fhir/List/_search", methods=["POST"], content_types=ANY)
def find_lists_by_form() -> Response:
    return app.serve(Retrieval.find_lists)


@app.route("/fhir/List/{resource_id}", methods=["GET"], content_types=ANY)
def read_list(resource_id: str) -> Response:
    return app.serve(Retrieval.read_list, resource_id=resource_id)


@app.route("/fhir/Patient/{resource_id}", methods=["GET"], content_types=ANY)
def read_patient(resource_id: str) -> Response:
    return app.serve(Retrieval.read_patient, resource_id=resource_id)


@app.route("/healthz/retrieval", methods=["GET"], content_types=ANY)
def health() -> Response:
    return app.health()
