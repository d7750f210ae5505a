"""The controls that hold a plan to HDS: each on one model of either host's plan, each with its requirement numbers."""
