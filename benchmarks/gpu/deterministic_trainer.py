"""`gnexp.launch.trainer train SPEC` with torch's deterministic operators, without which a GPU gives other bits."""

from __future__ import annotations

import sys

import torch

from gnexp.launch.trainer import main

if __name__ == "__main__":
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    sys.exit(main())
