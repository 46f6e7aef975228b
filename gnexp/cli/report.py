"""gnexp report: tables and figures from finished runs."""

from __future__ import annotations

import sys
from pathlib import Path

from gnexp import report
from gnexp.cli.settings import settings_of
from gnexp.cli.verbs import VERBS
from gnexp.compose import exhibits
from gnexp.compose.installed_norms import expand_with_installed
from gnexp.config.spelling import spell
from gnexp.system.exit_codes import EXIT_DONE, EXIT_FAILED


def main(words: list[str]) -> int:
    """Renders or checks; returns the exit code."""
    is_check = "--check" in words
    settings = settings_of("report", [word for word in words if word != "--check"])
    names = [name for name in settings["exhibit"].split(",") if name] or None
    shown, stale = exhibits.load_exhibits(names), exhibits.load_stale()
    # A choice of exhibits leaves the pages, and so the scoreboard, as they are.
    claims = exhibits.load_claims() if names is None else {}
    scoreboard = exhibits.load_scoreboard() if names is None else None
    runs_dir, results_dir = Path(settings["runs_dir"]), Path(settings["results_dir"])
    # What a command needs beside its experiment to fill this report and no other.
    places = [
        f"{key}={spell(settings[key])}"
        for key in ("runs_dir", "results_dir")
        if settings[key] != VERBS["report"].own[key].default
    ]
    if is_check:
        problems = report.check(
            shown,
            expand_with_installed,
            results_dir=results_dir,
            is_whole=names is None,
            places=places,
            stale=stale,
            claims=claims,
            scoreboard=scoreboard,
        )
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"{results_dir}: {len(problems)} problem(s)" if problems else f"{results_dir} is as rendered")
        return EXIT_FAILED if problems else EXIT_DONE
    try:
        rendered = report.render(
            shown,
            expand_with_installed,
            runs_dir=runs_dir,
            results_dir=results_dir,
            overwrite=settings["overwrite"] == "true",
            is_whole=names is None,
            places=places,
            stale=stale,
            claims=claims,
            scoreboard=scoreboard,
        )
    except OSError as error:  # a full disk, a folder that is not ours: what was there before still is
        raise ValueError(
            f"{error.filename or results_dir}: {error.strerror or error}; mend that or choose another folder with "
            "results_dir=..., and the same command does the rest"
        ) from None
    for note in rendered.notes:
        print(f"note: {note}", file=sys.stderr)
    for path in rendered.paths:
        print(path)
    print(f"{len(rendered.collected)} new result(s) from {runs_dir}\n\n{rendered.answer}")
    return EXIT_DONE
