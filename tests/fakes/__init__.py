"""Stand-ins for ports that police their callers, and what tests need to drive them."""
