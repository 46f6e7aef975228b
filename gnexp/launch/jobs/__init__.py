"""What a child process with torch does beside training: one module each, whose main(words) returns the exit code.

`python -m gnexp.launch.trainer NAME WORDS...` runs one; a ValueError or OSError of it ends in one line.
"""
