"""The object store: immutable objects, and small objects replaced by compare-and-swap."""
