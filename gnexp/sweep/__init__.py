"""A sweep: which runs are left, how far they are, and what failed. The launcher that runs them is Hydra's affair."""
