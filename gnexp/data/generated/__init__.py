"""Data sets that are generated from the embedded garments."""
