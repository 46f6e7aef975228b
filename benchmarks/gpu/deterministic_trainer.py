"""`gnexp.worker train SPEC` with torch's deterministic operators: equal bits can be asked for on a GPU only then."""

from __future__ import annotations

import sys

import torch

from gnexp.worker import main

if __name__ == "__main__":
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    sys.exit(main())
