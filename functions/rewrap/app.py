"""On demand, while a stage has it switched on: moves records to the newest versions of their keys."""

from sceau.http.chalice_app import ScheduledApp
from sceau.http.rewrap import build
from sceau.stage import runtime_of

app = ScheduledApp("rewrap", lambda: build(runtime_of("rewrap")))


@app.lambda_function()
def rewrap(event: dict[str, object], context: object) -> dict[str, int | float]:
    return app.run()
