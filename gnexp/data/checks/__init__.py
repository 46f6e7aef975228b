"""What `gnexp data check` looks at, by the kind of a data set."""

from __future__ import annotations

from collections.abc import Callable

from gnexp.data.checks.coco import survey_coco
from gnexp.data.checks.findings import Survey
from gnexp.data.checks.imagefolder import survey_imagefolder
from gnexp.data.checks.kinetics import survey_kinetics

CHECKS: dict[str, Callable[[str | None], Survey]] = {
    "coco": survey_coco,
    "imagefolder": survey_imagefolder,
    "kinetics": survey_kinetics,
}
