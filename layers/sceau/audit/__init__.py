"""Audit events, the write-once journal, the verifiable log."""
