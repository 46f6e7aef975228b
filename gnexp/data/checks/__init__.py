"""What `gnexp data check` looks at: one file a layout, which the kind of data names as its survey."""
