"""The auditor's verifier: the whole log and every event in it, without any key that opens one.

It shares the formats with the sealer, and none of its steps.
"""
