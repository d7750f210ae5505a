"""By schedule: what hosts keep of records that were deleted goes for good. It opens and changes nothing."""

from chalice.app import CloudWatchEvent

from sceau.http.chalice_app import ScheduledApp
from sceau.http.expunge import build
from sceau.stage import runtime_of

app = ScheduledApp("expunge", lambda: build(runtime_of("expunge")))


@app.schedule("rate(6 hours)")
def expunge(event: CloudWatchEvent) -> dict[str, int | float]:
    return app.run()
