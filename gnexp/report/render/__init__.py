"""From what was measured to pages, tables and plots."""
