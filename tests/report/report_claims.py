"""Invented claims for the report's tests: on Table 2 of report_runs, asked on its garments and on photographs."""

from typing import Any

from gnexp.report.exhibits.claims import Claim, parse_claims
from gnexp.report.parse import parse_exhibit
from tests.report.report_runs import TABLE

DATA_SETS = ["garments", "photographs"]
CHOICES: dict[str, Any] = {
    "data_sets": {
        "photographs": {"title": "Photographs", "data": ["photographs"], "about": "of the ground"},
        "garments": {"title": "Garments", "data": ["fashion_scenes"], "about": "generated scenes"},
        "paper": {
            "title": "The paper's",
            "data": ["imagenet"],
            "about": "ImageNet",
            "is_hidden_until_run": True,
        },
    },
    "front_page": ["bn_at_2"],
    "answer": [
        "Asked was whether few images cost.",
        "It was asked on {data_sets}.",
        "BN loses {bn_at_2} (the paper: {bn_at_2.paper}), GN {gn_at_2}.",
        "{contradicted}.",
        "{counts}.",
    ],
}
BN_AT_2: dict[str, Any] = {
    "id": "bn_at_2",
    "sentence": "BN errs more at 2 than at 32",
    "of": {"norm": "bn", "batch": 2},
    "minus": {"norm": "bn", "batch": 32},
    "direction": "more",
}
GN_AT_2: dict[str, Any] = {
    "id": "gn_at_2",
    "sentence": "GN errs as much at 2 as at 32",
    "of": {"norm": "gn", "batch": 2},
    "minus": {"norm": "gn", "batch": 32},
    "direction": "no difference",
}
LOSS: dict[str, Any] = {
    **BN_AT_2,
    "id": "loss",
    "sentence": "BN loses more than GN",
    "against": {"of": GN_AT_2["of"], "minus": GN_AT_2["minus"]},
}
FILE: dict[str, Any] = {
    "exhibit": "table2",
    "data_sets": ["photographs", "garments", "paper"],
    "claims": [BN_AT_2, GN_AT_2, LOSS],
}


def claim(values: dict[str, Any], **changes: Any) -> Claim:
    """One claim of Table 2, with some keys changed; None takes a key away."""
    changed = {key: value for key, value in (values | changes).items() if value is not None}
    file = {**FILE, "data_sets": DATA_SETS, "claims": [changed]}
    (found,) = parse_claims({"table2": file}, [parse_exhibit(TABLE)], DATA_SETS)
    return found
