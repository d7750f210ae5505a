"""What the service costs: measured and printed, never a test that can fail for being slow."""
