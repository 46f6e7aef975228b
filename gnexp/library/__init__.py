"""The suite's norms and its finished runs, for other people's code; gnexp/__init__.py gives out what is public."""
