"""Tokens, revocation, keys and metadata of the authorization server."""

from chalice.app import Response

from sceau.http.authentication import Authentication, build
from sceau.http.chalice_app import ANY, SceauApp
from sceau.stage import runtime_of

app = SceauApp("authentication", lambda: build(runtime_of("authentication")))


@app.route("/oauth/token", methods=["POST"], content_types=ANY)
def token() -> Response:
    return app.serve(Authentication.token)


@app.route("/oauth/revoke", methods=["POST"], content_types=ANY)
def revoke() -> Response:
    return app.serve(Authentication.revoke)


@app.route("/oauth/jwks", methods=["GET"], content_types=ANY)
def jwks() -> Response:
    return app.serve(Authentication.jwks)


@app.route("/.well-known/smart-configuration", methods=["GET"], content_types=ANY)
def smart_configuration() -> Response:
    return app.serve(Authentication.smart_configuration)


@app.route("/fhir/.well-known/smart-configuration", methods=["GET"], content_types=ANY)
def smart_configuration_of_fhir() -> Response:
    return app.serve(Authentication.smart_configuration)


@app.route("/.well-known/oauth-authorization-server", methods=["GET"], content_types=ANY)
def authorization_server() -> Response:
    return app.serve(Authentication.authorization_server)


@app.route("/healthz/authentication", methods=["GET"], content_types=ANY)
def health() -> Response:
    return app.health()
