"""`python -m gnexp`, the same as the command gnexp."""

import sys

from gnexp.cli import main

sys.exit(main())
