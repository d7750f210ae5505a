"""Copies of a whole store in a second one: sealed as they rest, made and checked without any key."""
