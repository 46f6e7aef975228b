"""`python -m gnexp`, the same as the command gnexp."""

import os
import sys

# Python puts the working directory before its own modules, where a person's random.py or queue.py would take their
# place. What was imported from there stays: a checkout that is not installed, also for the processes that it starts.
if not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):
    del sys.path[0]
    _ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if _ROOT not in sys.path:
        sys.path.append(_ROOT)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))

from gnexp.cli.main import main

sys.exit(main())
