"""What every norm promises by its traits, as tests of gnexp's own norms and of installed ones.

`pytest --pyargs gnexp.contracts` runs them, with `-k NAME` on one norm.
"""
