"""Verdicts on planted data: each rule, and each of its edges."""

import dataclasses
from collections.abc import Callable, Sequence

import pytest

from gnexp.config import RunConfig
from gnexp.report.exhibits.cells import Measurements, measure
from gnexp.report.exhibits.claims import Claim
from gnexp.report.exhibits.verdicts import (
    AGREES,
    CONTRADICTS,
    NOT_RUN,
    TARGET,
    UNDECIDED,
    DataSet,
    Verdict,
    count_verdicts,
    decide,
    judge,
)
from gnexp.runs.result import Result
from tests.report.report_claims import BN_AT_2, GN_AT_2, LOSS, claim
from tests.report.report_runs import expand, result_of, runs_of

GARMENTS = DataSet(id="garments", title="Garments", data=("fashion_scenes",), about="generated")
BASE = (-0.1, 0.0, 0.1)  # variance 0.01: Welch's error of two such cells is 0.0816, t(4) 2.776 and 2.132


def cell(mean: float, values: Sequence[float] = BASE) -> list[float]:
    return [mean + value for value in values]


def two(difference: float, values: Sequence[float] = BASE) -> list[tuple[int, list[float]]]:
    return [(1, cell(20 + difference, values)), (-1, cell(20, values))]


@pytest.mark.parametrize(
    ("difference", "word"),
    [(0.23, AGREES), (0.22, UNDECIDED), (0.0, UNDECIDED), (-0.22, UNDECIDED), (-0.23, CONTRADICTS)],
)
def test_a_direction_is_decided_by_the_side_on_which_0_lies(difference: float, word: str) -> None:
    """Half the interval is 2.776 * 0.0816 = 0.2267."""
    assert judge(claim(BN_AT_2), two(difference)).word == word
    opposite = {AGREES: CONTRADICTS, CONTRADICTS: AGREES, UNDECIDED: UNDECIDED}
    assert judge(claim(BN_AT_2, direction="less"), two(difference)).word == opposite[word]


@pytest.mark.parametrize(
    ("difference", "word"),
    [
        # Half the 90 % interval is 2.132 * 0.0816 = 0.1741: within 1 up to 0.8259.
        *((0.0, AGREES), (0.82, AGREES), (-0.82, AGREES), (0.83, UNDECIDED)),
        # Half the 95 % interval is 0.2267: wholly outside from 1.2267 on.
        *((1.22, UNDECIDED), (1.23, CONTRADICTS), (-1.23, CONTRADICTS)),
    ],
)
def test_no_difference_is_decided_by_the_margin(difference: float, word: str) -> None:
    """A difference that is not 0 with certainty agrees where it is small: 0.82 has an interval far from 0."""
    assert judge(claim(GN_AT_2), two(difference)).word == word


def test_a_margin_is_the_claim_s_own() -> None:
    wide = claim(GN_AT_2, margin=2.0, margin_reason="of a coarse measure")
    assert judge(wide, two(1.5)).word == AGREES


def test_four_cells_are_one_contrast() -> None:
    parts = [(1, cell(26)), (-1, cell(20)), (-1, cell(21)), (1, cell(20.5))]
    verdict = judge(claim(LOSS), parts)
    assert verdict.word == AGREES and verdict.found is not None
    assert (verdict.found.mean, verdict.found.counts) == (pytest.approx(5.5), (3, 3, 3, 3))
    assert verdict.found.degrees == pytest.approx(8.0)


def test_two_seeds_decide_nothing_and_say_how_many_would() -> None:
    verdict = judge(claim(BN_AT_2), two(9.0, (-0.1, 0.1)))
    assert verdict.word == UNDECIDED and not verdict.is_tested
    assert verdict.seeds_needed == 3  # for the paper's 11.1 points
    assert (
        verdict.seeds_at_most == 3
    )  # nor if the spread is 2.1 times as large, its bound by 2 degrees of freedom
    assert judge(claim(BN_AT_2), two(9.0, (0.0,))) == Verdict(
        UNDECIDED, judge(claim(BN_AT_2), two(9.0, (0.0,))).found
    )  # one seed has no spread: no number of seeds follows


def test_the_seeds_that_would_decide_are_those_of_the_paper_s_effect_or_the_margin() -> None:
    wide = (-10.0, 0.0, 10.0)  # std 10
    assert judge(claim(BN_AT_2), two(1.0, wide)).seeds_needed == 14  # d = 1.11
    assert judge(claim(BN_AT_2), two(1.0, wide)).seeds_at_most == 32  # 4 degrees of freedom: a std of 15.58
    ours = claim(BN_AT_2, source="gnexp")  # no paper's effect: at the margin of 1 point, d = 0.1
    assert judge(ours, two(1.0, wide)).seeds_needed == 1571
    assert judge(claim(GN_AT_2), two(5.0, wide)).seeds_needed == 1714  # two one-sided tests, d = 0.1


def test_seeds_that_all_agree_decide_nothing() -> None:
    for values in (two(5.0, (0.0, 0.0, 0.0)), two(0.0, (0.0, 0.0, 0.0))):
        for asked in (BN_AT_2, GN_AT_2):
            verdict = judge(claim(asked), values)
            assert (verdict.word, verdict.seeds_needed, verdict.is_tested) == (UNDECIDED, None, False)
    assert (
        judge(claim(BN_AT_2), [(1, cell(25)), (-1, [20.0] * 3)]).word == AGREES
    )  # one cell's spread is enough


def test_a_target_has_no_verdict() -> None:
    asked = claim(BN_AT_2, targets={"garments": "the search looked for it"})
    verdict = judge(asked, two(6.0), asked.targets["garments"])
    assert (verdict.word, verdict.is_tested) == (TARGET, False) and verdict.found is not None


def measured(
    keep: Callable[[RunConfig], bool] = lambda run: True, status: Callable[[RunConfig], str] | None = None
) -> list[Measurements]:
    """What was found of the invented runs at both scales."""
    results: dict[str, Result] = {}
    for run in filter(keep, runs_of("sizes")):
        result = result_of(run)
        if status is not None and status(run) == "diverged":
            result = dataclasses.replace(result, status="diverged", metrics={})
        results[run.run_id] = result
    return [measure([expand("sizes", scale)], ("norm", "batch"), results) for scale in ("small", "paper")]


def decided(asked: Claim, *args: object, data_set: DataSet = GARMENTS, **kwargs: object) -> Verdict:
    return decide(asked, measured(*args, **kwargs), data_set)  # type: ignore[arg-type]


def test_cells_are_looked_up_on_their_data_set() -> None:
    verdict = decided(claim(BN_AT_2))
    assert (verdict.word, verdict.regime, verdict.commands) == (AGREES, "fashion_scenes", ())
    assert verdict.found is not None and verdict.found.mean == pytest.approx(5.933333)
    assert decided(claim(GN_AT_2)).word == AGREES  # 0.03 with half a 90 % interval of 0.7
    moon = DataSet(id="moon", title="Moon", data=("moon",), about="")
    assert decided(claim(BN_AT_2), data_set=moon) == Verdict(NOT_RUN)  # no experiment has the cell
    paper = DataSet(id="paper", title="ImageNet", data=("imagenet",), about="")
    found = decided(claim(BN_AT_2), data_set=paper)
    assert found.word == NOT_RUN
    assert found.commands == ("gnexp sweep experiment=sizes scale=paper data.root=/data/imagenet",)


def test_one_cell_missing_is_not_run_and_says_what_fills_it() -> None:
    verdict = decided(claim(BN_AT_2), lambda run: run.batch == 2)
    assert (verdict.word, verdict.found) == (NOT_RUN, None)
    assert len(verdict.commands) == 1 and "experiment=sizes" in verdict.commands[0]
    few = decided(claim(BN_AT_2), lambda run: run.seed < 2 or run.batch == 2)
    assert few.word == UNDECIDED and few.found is not None and few.found.counts == (3, 2)
    assert few.commands == verdict.commands  # a seed is missing, so it can be filled


def test_diverged_runs_are_counted_and_leave_a_cell_with_fewer_seeds() -> None:
    one = decided(claim(BN_AT_2), status=lambda r: "diverged" if (r.seed, r.batch) == (0, 2) else "finished")
    assert (one.word, one.num_diverged) == (UNDECIDED, 1)  # two are left at 2
    assert one.found is not None and one.found.counts == (2, 3) and one.commands == ()
    whole = decided(claim(BN_AT_2), status=lambda r: "diverged" if r.batch == 2 else "finished")
    assert (whole.word, whole.found, whole.num_diverged) == (UNDECIDED, None, 3)


def test_one_run_under_two_statistics_is_paired_within_the_run() -> None:
    """worker0 minus precise is 1 in every invented run, whatever its error: no spread is left, but for rounding."""
    asked = claim(BN_AT_2, source="gnexp", statistics=["worker0", "precise"])
    verdict = decided(asked)
    assert verdict.found is not None and verdict.found.mean == pytest.approx(0.0)
    assert not verdict.found.has_spread and verdict.word == UNDECIDED


def test_the_count_is_of_verdicts_that_rest_on_an_interval() -> None:
    found = [
        *(judge(claim(BN_AT_2), two(d)) for d in (1.0, -1.0, 0.0)),
        judge(claim(BN_AT_2), two(1.0, (0.0, 0.1))),
        judge(claim(BN_AT_2), two(1.0), "a target"),
        Verdict(NOT_RUN),
    ]
    count = count_verdicts(found)
    assert count.num_tested == 3
    assert [count.of(word) for word in (AGREES, CONTRADICTS, UNDECIDED, TARGET, NOT_RUN)] == [1, 1, 2, 1, 1]
