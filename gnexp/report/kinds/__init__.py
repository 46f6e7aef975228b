"""The kinds of exhibits: one file each, and a line here."""

from gnexp.report.kinds.accuracy_table import ACCURACY_TABLE
from gnexp.report.kinds.ap_figure import AP_FIGURE
from gnexp.report.kinds.ap_table import AP_TABLE
from gnexp.report.kinds.batch_figure import BATCH_FIGURE
from gnexp.report.kinds.epoch_figure import EPOCH_FIGURE
from gnexp.report.kinds.eval_stats_figure import EVAL_STATS_FIGURE
from gnexp.report.kinds.eval_stats_table import EVAL_STATS_TABLE
from gnexp.report.kinds.gap_figure import GAP_FIGURE
from gnexp.report.kinds.gap_table import GAP_TABLE
from gnexp.report.kinds.kind import Kind
from gnexp.report.kinds.percentile_figure import PERCENTILE_FIGURE
from gnexp.report.kinds.pictures import PICTURES
from gnexp.report.kinds.table import TABLE

KINDS: dict[str, Kind] = {
    "table": TABLE,
    "ap_table": AP_TABLE,
    "ap_figure": AP_FIGURE,
    "accuracy_table": ACCURACY_TABLE,
    "batch_figure": BATCH_FIGURE,
    "epoch_figure": EPOCH_FIGURE,
    "percentile_figure": PERCENTILE_FIGURE,
    "eval_stats_table": EVAL_STATS_TABLE,
    "eval_stats_figure": EVAL_STATS_FIGURE,
    "gap_table": GAP_TABLE,
    "gap_figure": GAP_FIGURE,
    "pictures": PICTURES,
}
