"""Sceau: a shared medical record that an organisation deploys itself.

Rooms, in import order (each imports only those before it, and `sceau_schemas`): objects, keys, envelope, audit,
records, access, identity, fhir, http, cli. `stage` builds the adapters and is imported by `cli` and the apps only.
"""

__version__ = "0.1.0"
