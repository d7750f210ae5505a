"""The decision: may this actor do this act on this document now, and why."""
