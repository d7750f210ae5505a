"""By schedule: sealing of the journal's events into the verifiable log. It holds no key that opens an event."""

from chalice.app import CloudWatchEvent

from sceau.http.chalice_app import ScheduledApp
from sceau.http.sealing import build
from sceau.stage import runtime_of

app = ScheduledApp("journal", lambda: build(runtime_of("journal")))


@app.schedule("rate(1 minute)")
def journal(event: CloudWatchEvent) -> dict[str, int | float]:
    return app.run()
