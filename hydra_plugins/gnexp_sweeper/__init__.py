"""Hydra finds gnexp's sweeper here (hydra_plugins is a namespace package: it has no __init__.py of its own)."""
