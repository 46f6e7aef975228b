"""The verbs of `gnexp`."""
