"""Videos in class folders or in Kinetics' own lists: every video decoded once."""

from __future__ import annotations

from pathlib import Path

from torch.utils.data import Dataset as TorchDataset

from gnexp.data.checks.findings import SPLITS, Finding, Listing, Survey
from gnexp.data.checks.imagefolder import survey_folders
from gnexp.data.class_files import find_root
from gnexp.data.dataset import Indices
from gnexp.data.images.decode import UnreadableError
from gnexp.data.video.decode import Video, read_video
from gnexp.data.video.kinetics import VIDEO_SUFFIXES
from gnexp.data.video.kinetics_csv import find_lists, scan_listed


def survey_kinetics(root: str | None) -> Survey:
    """Lists both splits.

    Raises:
        ValueError: no such folder, or one that cannot be listed, or a list for one split alone.
    """
    place = find_root(root, "kinetics")
    lists = find_lists(place)
    if lists is None:
        return survey_folders(place, VIDEO_SUFFIXES, "video", _Inspector)
    return Survey(place, {split: _list_split(lists[split], place / split) for split in SPLITS}, [])


def inspect_video(path: str) -> Finding | None:
    """What is to say about a video file, or None."""
    try:
        reason = read_video(path, Video.damage)
    except UnreadableError as error:
        reason = error.reason
    except OSError as error:
        reason = str(error.strerror)
    return None if reason is None else Finding(path, reason, True)


def _list_split(listed: Path, folder: Path) -> Listing:
    paths: list[str] = []
    num_classes, findings = 0, []
    try:
        files, missing = scan_listed(listed, folder, VIDEO_SUFFIXES)
    except ValueError as error:  # of the list as a whole: there is nothing to go on with
        findings.append(Finding(str(listed), str(error).removeprefix(f"{listed}").lstrip(":, "), True))
    else:
        num_classes = len(files.classes)
        paths = [files.path(index) for index in range(len(files.labels))]
        if missing:
            reason = f"{len(missing)} of its videos are not in {folder}, the first {missing[0]}"
            findings.append(Finding(str(listed), reason, True))
    return Listing(
        place=str(listed),
        classes=(num_classes, "classes"),
        files=(len(paths), "videos"),
        findings=findings,
        inspector=_Inspector(paths),
    )


class _Inspector(TorchDataset[list[Finding]]):
    def __init__(self, paths: list[str]) -> None:
        self._paths = paths

    def __getitem__(self, indices: Indices) -> list[Finding]:
        found = (inspect_video(self._paths[index]) for index in indices)
        return [finding for finding in found if finding is not None]
