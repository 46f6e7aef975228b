"""A run's directory: what is in it, who writes it, what became of it. Without torch."""
