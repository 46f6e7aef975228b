"""Claims: what a file may say, one clear line per mistake, and the paper's effect from the exhibit's own facts."""

import re
from typing import Any

import pytest

from gnexp.report.exhibits.claims import parse_claims
from gnexp.report.exhibits.scoreboard import parse_scoreboard
from gnexp.report.parse import parse_exhibit
from tests.report.report_claims import BN_AT_2, CHOICES, DATA_SETS, FILE, GN_AT_2, LOSS, claim
from tests.report.report_runs import TABLE

EXHIBIT = parse_exhibit(TABLE)


def test_the_paper_s_effect_is_that_of_the_exhibit_s_values() -> None:
    assert claim(BN_AT_2).paper == pytest.approx(34.7 - 23.6)
    assert claim(GN_AT_2).paper == 0.0
    assert claim(LOSS).paper == pytest.approx(11.1)
    assert [sign for sign, _ in claim(LOSS).parts] == [1, -1, -1, 1]
    assert claim(BN_AT_2, source="gnexp").paper is None and claim(BN_AT_2, source="gnexp").is_ours


def test_a_metric_of_the_prose_has_the_prose_s_number_or_none() -> None:
    cells = {"of": {"norm": "gn", "batch": 32}, "minus": {"norm": "bn", "batch": 32}}
    told = {**cells, "metric": "train/top1_error", "says": "lower", "source": "Section 4.1"}
    for number in (None, -0.7):
        exhibit = parse_exhibit({**TABLE, "in_text": [{**told, "difference": number}]})
        entry = {**BN_AT_2, **cells, "metric": "train/top1_error", "direction": "less"}
        file = {**FILE, "data_sets": DATA_SETS, "claims": [entry]}
        (found,) = parse_claims({"x": file}, [exhibit], DATA_SETS)
        assert (found.paper, found.metrics) == (number, ("train/top1_error",))
        # An effect of the paper's size, or one of the margin where the paper has none.
        assert found.effect_to_see == (1.0 if number is None else 0.7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"direction": "bigger"}, "direction must be less, more, no difference, got bigger"),
        ({"sentence": None}, "needs sentence"),
        ({"sentence": "It is so."}, "no full stop"),
        ({"colour": "red"}, "unknown key colour"),
        ({"of": {"norm": "bn"}}, "a cell of table2 is named by norm and batch"),
        ({"of": {"norm": "bn", "batch": "two"}}, "batch takes int values, got 'two'"),
        ({"minus": BN_AT_2["of"]}, "one stands in it twice"),
        ({"against": {"of": GN_AT_2["of"]}}, "needs minus"),
        ({"margin": 0}, "above 0"),
        ({"margin": 2}, "needs margin_reason"),
        ({"metric": "val/box_ap"}, "metric must be one of val/top1_error, train/top1_error"),
        ({"statistics": ["worker0", "median"]}, "one or two of worker0, mean, precise"),
        ({"effect": 11.1}, "has the paper's: leave it out"),
        ({"verified": "three"}, "verified must be two, one, secondary"),
        ({"source": "gnexp", "verified": "one"}, "absent of source gnexp"),
        ({"targets": {"moon": "why"}}, "targets names moon"),
        ({"data_sets": ["moon"]}, "data_sets must be of the file's garments, photographs, got moon"),
        ({"data_sets": ["garments"], "targets": {"photographs": "why"}}, "targets names photographs"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_claim(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        claim(BN_AT_2, **change)
    assert str(raised.value).startswith("conf/claim/table2.yaml: claim bn_at_2: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exhibit": "table9"}, "conf/claim/x.yaml: exhibit must be one of table2, got table9"),
        ({"data_sets": ["moon"]}, "conf/claim/x.yaml: data_sets must be of garments, photographs, got moon"),
        ({"claims": []}, "conf/claim/x.yaml: needs claims"),
        ({"claims": "bn"}, "conf/claim/x.yaml: claims must be a list"),
        ({"claims": ["bn"]}, "claim 'bn': a claim holds keys and values"),
        ({"claims": [BN_AT_2, BN_AT_2]}, "conf/claim: two claims have the id bn_at_2"),
        ({"claim": []}, "conf/claim/x.yaml: unknown key claim"),
    ],
)
def test_a_mistake_of_a_file_is_one_line_too(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_claims({"x": {**FILE, "data_sets": ["garments"], **change}}, [EXHIBIT], DATA_SETS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": []}, "unknown key columns"),
        ({"data_sets": []}, "data_sets must map names"),
        ({"data_sets": {"moon": {"title": "Moon"}}}, "data set moon needs about, data, title"),
        ({"front_page": ["moon"]}, "front_page names moon, which is no claim"),
    ],
)
def test_a_mistake_of_the_scoreboard_s_choices_is_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^conf/scoreboard.yaml: {re.escape(message)}"):
        parse_scoreboard({}, {**CHOICES, **change}, [EXHIBIT])
