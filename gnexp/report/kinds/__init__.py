"""The kinds of exhibit."""
