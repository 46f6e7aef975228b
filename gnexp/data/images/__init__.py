"""Photographs in folders and archives."""
