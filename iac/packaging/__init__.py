"""Packages for each host: Lambda zips and their layer, or one container image, the same bytes on every machine.

Nothing here is deployed. `make package STAGE=…` runs it; docs/packages.md says what comes out and how it is held.
"""
