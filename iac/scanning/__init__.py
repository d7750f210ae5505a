"""Scanning of what is deployed and committed. A scan whose data or tool is missing fails: it never passes unseen."""
