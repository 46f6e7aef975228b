"""The scoreboard as it is rendered: table, CSV, answer, and the part of README.md that is written for it."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from gnexp.report import check, render
from gnexp.report.exhibits.statistics import Estimate
from gnexp.report.exhibits.verdicts import AGREES, NOT_RUN, UNDECIDED, Verdict
from gnexp.report.render import scoreboard
from gnexp.report.render.marks import mark, marks_of
from tests.report.report_claims import BN_AT_2, CHOICES, FILE, GN_AT_2, LOSS
from tests.report.report_runs import FIGURE, TABLE, expand, runs_of, write_runs

EXHIBITS = [FIGURE, TABLE]
START, END = marks_of("results/tables/scoreboard.md")
FOUND = Estimate(1.0, 0.1, 4.0, (3, 3))  # an interval of 2.78 standard errors
TARGETED = {**GN_AT_2, "targets": {"garments": "the search looked for it"}}


def render_in(folder: Path, *claims: dict[str, Any], **changes: Any) -> None:
    settings = {"claims": {"table2": {**FILE, "claims": [*claims]}}, "scoreboard": {**CHOICES, **changes}}
    places = {"runs_dir": folder / "runs", "results_dir": folder / "results"}
    render(EXHIBITS, expand, **places, **settings)
    assert check(EXHIBITS, expand, results_dir=folder / "results", **settings) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered with a README.md beside results/ that has the marks."""
    place = tmp_path_factory.mktemp("scoreboard")
    write_runs(place / "runs", runs_of("sizes"))
    (place / "README.md").write_text(
        f"# Mine\n\nBefore.\n\n{START}\nof yesterday\n{END}\n\nAfter.\n", encoding="utf-8"
    )
    render_in(place, BN_AT_2, TARGETED, LOSS)
    return place


def rows(text: str) -> list[list[str]]:
    """The cells of the first table of claims."""
    table = text[text.index("| claim") :].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_table_has_a_row_a_claim_and_a_column_a_data_set(folder: Path) -> None:
    header, _, bn, gn, loss = rows((folder / "results/tables/scoreboard.md").read_text(encoding="utf-8"))
    assert header == [
        "claim",
        "where",
        "the paper",
        "Photographs",
        "Garments",
    ]  # nothing at the paper's scale
    assert bn == [BN_AT_2["sentence"], "Table 2", "+11.1", "not run", "**agrees** +5.9 ± 0.8 (n=3)"]
    assert gn[2:] == ["0.0", "not run", "target 0.0 ± 1.0 (n=3)"]
    assert loss[-1].startswith("**agrees** +5.9 ± ")


def test_it_says_how_many_were_tested_and_what_comes_out_by_chance(folder: Path) -> None:
    text = (folder / "results/tables/scoreboard.md").read_text(encoding="utf-8")
    assert (
        "Of 3 claims, each asked on up to 2 data sets, 2 were tested (n of at least 3 in each cell), of which agree 2, "
        "contradict 0 and are undecided 0; were there no effect at all, about 0.1 of 2 would be told apart by chance."
        in text
    )
    assert "GN errs as much at 2 as at 32, on Garments: the search looked for it." in text
    assert "Garments: generated scenes. 3 claims: agrees 2 and target 1; 2 tested." in text
    assert "- Photographs: `bn_at_2`, `gn_at_2` and `loss`.\n" in text


def test_the_csv_has_every_number(folder: Path) -> None:
    text = (folder / "results/tables/scoreboard.csv").read_text(encoding="utf-8")
    found = {(row["claim"], row["data_set"]): row for row in csv.DictReader(text.splitlines())}
    assert len(found) == 6
    bn = found["bn_at_2", "garments"]
    assert (bn["paper"], bn["mean"], bn["n"]) == ("11.1", "5.9333", "3 3")
    assert float(bn["high"]) - float(bn["mean"]) == pytest.approx(0.2728 * 2.806, abs=1e-3)
    assert float(bn["mean"]) - float(bn["low"]) == pytest.approx(0.2728 * 2.806, abs=1e-3)
    assert (bn["verdict"], bn["direction"], bn["margin"], bn["verified"]) == ("agrees", "more", "1", "two")
    assert found["gn_at_2", "garments"]["target"] == "the search looked for it"
    assert found["loss", "garments"]["n"] == "3 3 3 3"
    assert found["bn_at_2", "photographs"]["verdict"] == "not run"


def test_the_answer_is_five_sentences_with_their_numbers(folder: Path) -> None:
    text = (folder / "results/README.md").read_text(encoding="utf-8")
    answer = text.split("## The answer\n\n")[1].split("\n\n")[0]
    asked, where, found, contradicted, counts = answer.splitlines()
    assert asked == "- Asked was whether few images cost."
    assert (
        where == "- It was asked on Photographs (of the ground; not run yet) and Garments (generated scenes)."
    )
    assert found == (
        "- BN loses +5.9 points (95 % interval +5.2 to +6.7, 3 seeds) on Garments (the paper: +11.1), GN 0.0 points "
        "(95 % interval −0.9 to +1.0, 3 seeds) on Garments, where the search looked for it."
    )
    assert contradicted == "- None of 2 tests of the paper's claims contradicts it."
    assert counts == (
        "- Of 3 claims, each asked on up to 2 data sets, 2 were tested (n of at least 3 in each cell), of which agree "
        "2, contradict 0 and are undecided 0; were there no effect at all, about 0.1 of 2 would be told apart by "
        "chance."
    )
    assert "What else was found" not in text
    assert text.index("## The answer") < text.index("figure1.svg") < text.index("## Scoreboard")


def test_what_contradicts_the_paper_is_named(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", runs_of("sizes"))
    render_in(tmp_path, {**BN_AT_2, "direction": "less"}, GN_AT_2)
    text = (tmp_path / "results/README.md").read_text(encoding="utf-8")
    assert (
        "1 of 2 tests of the paper's claims contradicts it: “BN errs more at 2 than at 32” (Garments: +5.9 ±"
        in text
    )


def test_the_page_opens_with_the_answer_figure_1_and_the_scoreboard(folder: Path) -> None:
    page = (folder / "results/report.html").read_text(encoding="utf-8")
    places = [
        page.index(part) for part in ('aria-label="The answer"', 'id="figure1"', 'id="scoreboard"', "<nav")
    ]
    assert places == sorted(places) and page.count('<article id="figure1">') == 1
    assert "<strong>agrees</strong> +5.9\u00a0±\u00a00.8 <small>(n=3)</small>" in page


def test_the_readme_beside_results_has_its_part_between_the_marks(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# Mine\n\nBefore.\n\n{START}\n") and text.endswith(f"{END}\n\nAfter.\n")
    assert "of yesterday" not in text and "results/tables/scoreboard.md" in text
    (row,) = rows(text)[2:]  # of the front page's claims alone
    assert row[0] == BN_AT_2["sentence"]


def test_check_sees_a_readme_that_was_changed_by_hand(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", runs_of("sizes"))
    readme = tmp_path / "README.md"
    readme.write_text(f"{START}\n{END}\n", encoding="utf-8")
    render_in(tmp_path, BN_AT_2, GN_AT_2)
    readme.write_text(readme.read_text(encoding="utf-8").replace("+5.9", "+9.9"), encoding="utf-8")
    settings = {"claims": {"table2": {**FILE, "claims": [BN_AT_2, GN_AT_2]}}, "scoreboard": CHOICES}
    (problem,) = check(EXHIBITS, expand, results_dir=tmp_path / "results", **settings)
    assert "README.md is not what the runs say" in problem


def test_without_claims_there_is_no_scoreboard_and_an_old_one_is_left_over(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", runs_of("sizes"))
    render_in(tmp_path, BN_AT_2, GN_AT_2)
    problems = check(EXHIBITS, expand, results_dir=tmp_path / "results")
    assert [p for p in problems if "scoreboard" in p and "left over" in p] != []
    render(EXHIBITS, expand, runs_dir=tmp_path / "runs", results_dir=tmp_path / "results")
    assert not (tmp_path / "results/tables/scoreboard.md").exists()
    assert "Scoreboard" not in (tmp_path / "results/README.md").read_text(encoding="utf-8")


def test_a_sentence_with_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"conf/scoreboard.yaml: answer has a name that is no claim: 'moon'"):
        render_in(tmp_path, BN_AT_2, answer=["It is {moon}."])


@pytest.mark.parametrize(
    "text", [START, END, f"{END}\n{START}", f"{START}{START}{END}", f"{START}{END}{END}"]
)
def test_marks_come_as_a_pair(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"x.md must have {START} once")):
        mark(text, "part", "results/tables/scoreboard.md", "x.md")


def test_another_results_leaves_the_readme_alone(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert mark(text, "part", "mine/tables/scoreboard.md", "README.md") is None
    places = {"runs_dir": folder / "runs", "results_dir": folder / "mine"}
    render(
        EXHIBITS,
        expand,
        **places,
        claims={"table2": {**FILE, "claims": [GN_AT_2, BN_AT_2]}},
        scoreboard=CHOICES,
    )
    assert (folder / "README.md").read_text(encoding="utf-8") == text


def test_before_any_run_and_at_the_paper_s_scale(tmp_path: Path) -> None:
    render_in(tmp_path, BN_AT_2, GN_AT_2)
    text = (tmp_path / "results/README.md").read_text(encoding="utf-8")
    assert "BN loses a number that is not measured yet (the paper: +11.1)" in text
    assert "None of the 2 claims has been tested yet." in text
    scoreboard = (tmp_path / "results/tables/scoreboard.md").read_text(encoding="utf-8")
    assert (
        "    gnexp sweep experiment=sizes scale=small\n" in scoreboard and "The paper's |" not in scoreboard
    )
    write_runs(tmp_path / "runs", runs_of("sizes", "paper"))
    render_in(tmp_path, BN_AT_2, GN_AT_2)
    header, _, bn, _ = rows((tmp_path / "results/tables/scoreboard.md").read_text(encoding="utf-8"))
    assert (header[-1], bn[-1]) == ("The paper's", "undecided +6.1 (n=1)")


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (None, "–"),
        (Verdict(NOT_RUN), "not run"),
        (Verdict(NOT_RUN, target="searched for"), "not run (target)"),
        (Verdict(AGREES, FOUND), "**agrees** +1.0 ± 0.3 (n=3)"),
        (Verdict(UNDECIDED, FOUND, 5, 5), "undecided +1.0 ± 0.3 (n=3; 5 for 80 %)"),
        (Verdict(UNDECIDED, FOUND, 5, 9), "undecided +1.0 ± 0.3 (n=3; 5 to 9 for 80 %)"),
        (Verdict(UNDECIDED, FOUND, 5, None), "undecided +1.0 ± 0.3 (n=3; 5 to many for 80 %)"),
        (
            Verdict(UNDECIDED, FOUND, 5, 5, num_diverged=1),
            "undecided +1.0 ± 0.3 (n=3; 1 diverged; 5 for 80 %)",
        ),
    ],
)
def test_a_verdict_in_a_cell(verdict: Verdict | None, said: str) -> None:
    assert scoreboard._say_verdict(verdict) == said
