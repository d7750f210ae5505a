"""Applying a plan that the controls accepted, looking at what came of it, and taking an empty stage down."""
