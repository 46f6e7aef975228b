"""Tables 4 to 7: average precision of boxes and masks, a row a cell."""

from __future__ import annotations

from gnexp.report.kinds.table import by_measure

AP_TABLE = by_measure("ap")
