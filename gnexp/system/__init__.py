"""What the operating system is asked: signals, atomic files, hardware, an outer group of processes."""
