"""What loss and score mean."""
