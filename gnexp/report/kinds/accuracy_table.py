"""Table 8: top-1 and top-5 accuracy of videos, a row a cell."""

from __future__ import annotations

from gnexp.report.kinds.table import by_measure

ACCURACY_TABLE = by_measure("accuracy")
