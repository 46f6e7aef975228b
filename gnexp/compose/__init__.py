"""From conf/ and a command line to runs: the only room that knows Hydra."""
