"""The claims of conf/claim against the paper's facts, and the scoreboard in results/ against both."""

import csv
from pathlib import Path

import pytest

from gnexp.compose import exhibits
from gnexp.report.exhibits.claims import MORE, SAME, Claim
from gnexp.report.exhibits.scoreboard import Claims, parse_scoreboard
from gnexp.report.parse import parse_exhibit
from gnexp.report.render.marks import marks_of
from tests.contracts import expansions

ROOT = Path(__file__).parents[2]
# Differences of the paper's tables and prose, worked out by hand.
FACTS = {
    "bn_at_16": 0.1,
    "bn_at_8": 1.2,
    "bn_at_4": 3.7,
    "bn_at_2": 11.1,
    "gn_at_2": 0.0,
    "gn_bn_at_32": 0.5,
    "gn_bn_at_4": -3.1,
    "gn_bn_at_2": -10.6,
    "loss_at_8": 1.3,
    "loss_at_4": 3.6,
    "loss_at_2": 11.1,
    "ln_bn": 1.7,
    "in_bn": 4.8,
    "gn_ln": -1.2,
    "gn_in": -4.3,
    "gn_bn_training": None,
    "in_bn_at_2": -6.3,
    "one_group": 0.9,
    "groups_16": 0.2,
    "groups_4": 0.2,
    "groups_2": 0.3,
    "one_channel": 4.2,
    "two_channels": -2.8,
    "channels_8": 0.1,
    "channels_4": 0.6,
    "brn_bn_at_4": -1.0,
    "brn_gn_at_4": 2.1,
    "brn_bn_at_2": None,
    "brn_gn_at_2": None,
    "deep_bn": 9.9,
    "deep_gn": 0.6,
    "deep_gn_bn_at_2": -8.9,
    "vgg_bn_none": -1.2,
    "vgg_gn_none": -1.6,
    "vgg_gn_bn": -0.4,
    "c4_gn_box": 1.1,
    "c4_gn_mask": 0.8,
    "unfrozen_bn": -6.0,
    "c4_ln": -1.9,
    "head_gn": 0.9,
    "head_and_backbone_gn": 0.5,
    "head_bn": -9.0,
    "fpn_gn_box": 1.7,
    "fpn_gn_mask": 1.2,
    "fpn_deep_gn": 0.9,
    "fpn_long_gn": 0.5,
    "fpn_long_frozen": None,
    "scratch_gn": 5.0,
    "scratch_deep": 1.5,
    "clips_bn": -1.2,
    "clips_gn": -0.2,
    "clips_gn_bn": 0.7,
    "long_clips_gn": 1.7,
    "long_clips_bn": 0.0,
}


def load() -> Claims:
    shown = [parse_exhibit(values) for values in expansions.exhibits().values()]
    return parse_scoreboard(exhibits.load_claims(), exhibits.load_scoreboard(), shown)


CLAIMS = load()


def test_every_claim_of_the_paper_has_the_paper_s_effect() -> None:
    found = {claim.id: claim.paper for claim in CLAIMS.claims}
    for name, effect in FACTS.items():
        assert found[name] == (None if effect is None else pytest.approx(effect)), name
    assert all(claim.paper is None for claim in CLAIMS.claims if claim.is_ours)


@pytest.mark.parametrize("claim", CLAIMS.claims, ids=lambda claim: claim.id)
def test_the_paper_s_effect_is_what_its_claim_says(claim: Claim) -> None:
    """In the claim's direction, or within its margin: else the file has misread the paper."""
    if claim.paper is not None:
        is_small, is_more = abs(claim.paper) <= claim.margin, claim.paper > 0
        assert is_small if claim.direction == SAME else is_more == (claim.direction == MORE)


def test_the_scoreboard_in_results_is_the_claims() -> None:
    text = (ROOT / "results/tables/scoreboard.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    by_claim = {row["claim"]: row for row in rows}
    assert list(by_claim) == [claim.id for claim in CLAIMS.claims]
    for claim in CLAIMS.claims:
        row = by_claim[claim.id]
        paper = "" if claim.paper is None else f"{claim.paper:.1f}"
        told = (row["sentence"], row["source"], row["verified"], row["direction"], row["paper"])
        assert told == (claim.sentence, claim.source, claim.verified or "", claim.direction, paper)
        if claim.id in FACTS:
            assert row["paper"] == ("" if FACTS[claim.id] is None else f"{FACTS[claim.id]:.1f}")
    assert CLAIMS.choices is not None
    hidden = {data_set.id for data_set in CLAIMS.choices.data_sets if data_set.is_hidden_until_run}
    asked = {(claim.id, name) for claim in CLAIMS.claims for name in claim.data_sets if name not in hidden}
    assert {(row["claim"], row["data_set"]) for row in rows} >= asked


def test_readme_has_a_place_for_the_scoreboard() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    start, end = marks_of("results/tables/scoreboard.md")
    assert text.count(start) == text.count(end) == 1
    assert "results/tables/scoreboard.md" in text[text.index(start) : text.index(end)]
