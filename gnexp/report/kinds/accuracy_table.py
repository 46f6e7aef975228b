"""Table 8: top-1 and top-5 accuracy of videos, a row a cell."""

from __future__ import annotations

from gnexp.report.exhibits.measures import HIGHER_IS_BETTER, Measure, Score
from gnexp.report.kinds.table import by_measure

_TOP1 = Measure("val/top1_accuracy", "top-1 accuracy")
ACCURACIES = Score(
    noun="accuracy",
    plural="accuracies",
    title="Validation accuracy",
    units=(
        "Accuracies are of videos of val, top-1 and top-5, in percent, higher is better; of a video's clips the "
        "probabilities are averaged. Differences are in points."
    ),
    measures=(_TOP1, Measure("val/top5_accuracy", "top-5 accuracy")),
    compared=(_TOP1,),
    wording=HIGHER_IS_BETTER,
)
ACCURACY_TABLE = by_measure(ACCURACIES)
