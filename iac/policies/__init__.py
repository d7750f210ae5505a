"""What the hosts' policies allow, worked out from the policies themselves: no emulator enforces all of them.

An element that is not understood here is an error, never an "allowed": a policy that can't be judged is refused.
"""
