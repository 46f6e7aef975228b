"""Starts trainers."""
