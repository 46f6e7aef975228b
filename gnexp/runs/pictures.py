"""What pictures of a finished run show, and the digest of each."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

from gnexp.system.files import write_json


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What `gnexp eval save_images=N` drew; written last, so that its presence means that all of it is there."""

    run_id: str
    eval_stats: str  # running statistics that evaluated the model
    least_score: float  # of the detections that are drawn, in [0, 1]
    # sha256 of the run's result: of which training they are; None where there was none
    result: str | None
    commit: str  # of the code that drew
    dirty: bool | None
    sha256: dict[str, str]  # file name, which is the image's id, -> digest; in the order of val

    def save(self, path: Path) -> None:
        """Writes it atomically."""
        write_json(path, dataclasses.asdict(self))


def load_pictures(path: Path) -> Pictures:
    """Reads it.

    Raises:
        ValueError: the file is torn or lacks a field, or a name in it leads out of its folder.
    """
    try:
        found = Pictures(**json.loads(path.read_text(encoding="utf-8")))
        if type(found.least_score) not in (int, float):
            raise ValueError(f"least_score must be a number, got {found.least_score!r}")
        if not isinstance(found.sha256, dict):
            raise ValueError(f"sha256 must be digests by name, got {found.sha256!r}")
        if not all(re.fullmatch(r"[0-9]+\.png", name) for name in found.sha256):
            raise ValueError("a picture is named by its image's id")
        return found
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} does not say what pictures show ({error}); run gnexp eval with save_images again"
        ) from None
