"""Decodes every file of a data set: `check_data SETTINGS`, JSON of kind, root, processes and what is expected."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from gnexp.config.kinds import class_of, classes_of, import_text
from gnexp.data.checks.findings import Finding, Listing, Survey, inspect
from gnexp.system.exit_codes import EXIT_DONE, EXIT_FAILED
from gnexp.system.names import shown


def main(words: list[str]) -> int:
    """Prints a line for each bad file and the counts; returns 1 if anything is bad.

    Raises:
        ValueError: no such folder, or a kind of data that is no folder of files.
    """
    settings: dict[str, Any] = json.loads(words[0])
    named = class_of("data", settings["kind"]).survey
    if named is None:
        known = [kind for kind, cls in classes_of("data").items() if cls.survey]
        raise ValueError(
            f"data={settings['data']} says nothing of a folder's files, only data sets of the kinds "
            f"{', '.join(known)} do; leave it out, or give another"
        )
    survey: Survey = import_text(named)(settings["root"])
    num_bad = sum(_say(finding) for finding in (*survey.findings, *_unexpected(survey, settings)))
    for split, listing in survey.splits.items():
        num_bad += _check_split(split, listing, settings["processes"])
    print(f"{shown(str(survey.root))}: {f'{num_bad} bad' if num_bad else 'every file can be read'}")
    return EXIT_FAILED if num_bad else EXIT_DONE


def _check_split(split: str, listing: Listing, num_processes: int) -> int:
    """Decodes a split's files, says what is found and returns how many findings are bad."""
    num_bad = sum(_say(finding) for finding in listing.findings)
    total = listing.files[0]
    with tqdm(total=total, desc=split, unit="file", leave=False, disable=not sys.stderr.isatty()) as bar:
        for done, findings in inspect(listing, num_processes):
            num_bad += sum(_say(finding) for finding in findings)
            bar.update(done)
    print(f"{split}: {listing.summary}", flush=True)
    return num_bad


def _say(finding: Finding) -> bool:
    with tqdm.external_write_mode(file=sys.stdout):
        print(
            f"{'bad ' if finding.is_bad else 'note'}  {shown(f'{finding.path}: {finding.reason}')}",
            flush=True,
        )
    return finding.is_bad


def _unexpected(survey: Survey, settings: dict[str, Any]) -> Iterator[Finding]:
    """Counts that are not those of the data set that was named."""
    for split, listing in survey.splits.items():
        for key, (num, what) in (("num_classes", listing.classes), (f"expected_{split}", listing.files)):
            expected = settings["expected"].get(key)
            if num and expected not in (None, num):  # of none something worse has been said
                yield Finding(listing.place, f"{num} {what}, {settings['name']} has {expected}", True)
