"""What a report shows: its exhibits, their cells, statistics and contrasts."""
