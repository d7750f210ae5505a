"""The verifiable log over the journal's events: C2SP tlog-tiles. Formats: `docs/formats/log-entry.md`, `log.md`."""
