"""The verbs that are no Hydra app: one module each, whose main(words) returns the exit code."""
