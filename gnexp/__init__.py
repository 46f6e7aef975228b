"""gnexp: the experiments of "Group Normalization" (Wu & He 2018), and what lies past them."""

__version__ = "0.1.0"
