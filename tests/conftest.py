"""Shared by all tests."""

import os
import signal

# Before torch is imported: small tensors gain nothing from a second thread, and threads that outnumber the cores spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in the background has SIGINT ignored, and the processes under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
