"""Networks: what takes a norm and knows nothing of data."""
