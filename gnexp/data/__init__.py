"""Data sets and how they are loaded; nothing of models."""
