"""By schedule: sweeping of expired marks, and of documents that no dossier reached; what is due on closed records."""

from chalice.app import CloudWatchEvent

from sceau.http.chalice_app import ScheduledApp
from sceau.http.upkeep import build
from sceau.stage import runtime_of

app = ScheduledApp("upkeep", lambda: build(runtime_of("upkeep")))


@app.schedule("rate(1 hour)")
def upkeep(event: CloudWatchEvent) -> dict[str, int | float]:
    return app.run()
