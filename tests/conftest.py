"""Shared by all tests."""

import os

# Before torch is imported: small tensors gain nothing from a second thread, and threads that outnumber the cores spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
