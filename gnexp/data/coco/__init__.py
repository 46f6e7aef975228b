"""Detection data in COCO's layout."""
