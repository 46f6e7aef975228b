"""Videos and their clips."""
