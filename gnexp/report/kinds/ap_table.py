"""Tables 4 to 7: average precision of boxes and masks, a row a cell."""

from __future__ import annotations

from gnexp.report.exhibits.measures import HIGHER_IS_BETTER, Measure, Score
from gnexp.report.kinds.table import by_measure

_BOX, _MASK = (
    tuple(Measure(f"val/{of}_ap{iou}", f"{of} AP{iou}") for iou in ("", "50", "75")) for of in ("box", "mask")
)
APS = Score(
    noun="AP",
    plural="APs",
    title="Validation AP",
    units=(
        "AP is average precision in percent, of boxes and of masks, higher is better: COCO's mean over IoU 0.50 to "
        "0.95, or at IoU 0.50 (AP50) or 0.75 (AP75) alone. Differences are in points."
    ),
    measures=(*_BOX, *_MASK),
    compared=(_BOX[0], _MASK[0]),
    wording=HIGHER_IS_BETTER,
)
AP_TABLE = by_measure(APS)
