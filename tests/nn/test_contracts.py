"""The contracts that come with the package, on every norm here; and that each of them finds a norm that breaks it."""

import ast
import dataclasses
from pathlib import Path

import pytest

import gnexp
from gnexp.config import NormConfig
from gnexp.contracts import averaging, computing, declaring, keeping
from gnexp.contracts.test_norms import *  # noqa: F403
from gnexp.contracts.test_norms import CHECKS, Check, norm_of
from tests.grids import thin
from tests.nn import planted

GRADIENT = computing.has_the_gradient_of_what_it_computes
# What is planted -> the contracts that it breaks.
PLANTED = {
    "SaysSampleIsWorker": {
        averaging.averages_over_what_it_says,
        averaging.virtual_workers_are_workers,
        keeping.keeps_running_stats_as_it_says,
    },
    "SaysWorkerIsSample": {averaging.averages_over_what_it_says},
    "SaysAllWorkersIsWorker": {
        averaging.averages_over_what_it_says,
        averaging.virtual_workers_are_workers,
        keeping.keeps_running_stats_as_it_says,
    },
    "SaysNothingIsSample": {averaging.averages_over_what_it_says},
    "CrossesWorkersAndSaysNotResident": {averaging.workers_can_be_taken_in_passes},
    "SaysGroupsIsLayer": {averaging.keeps_groups_apart},
    "PositionsMatter": {averaging.takes_images_in_any_order},
    "HidesItsRunningStats": {keeping.keeps_running_stats_as_it_says},
    "HasNoRunningStats": {keeping.keeps_running_stats_as_it_says},
    "HasNoGamma": {keeping.starts_from_gamma_as_it_says},
    "HidesItsGamma": {keeping.starts_from_gamma_as_it_says},
    "FreezesNothing": {keeping.trains_nothing_that_it_freezes},
    "KeepsWhatNoStateHolds": {
        keeping.its_state_is_all_that_it_knows,
        keeping.keeps_running_stats_as_it_says,
        GRADIENT,
    },
    "SharesItsParameters": {keeping.copies_are_apart},
    "ActivatesBeforeTheResidual": {computing.adds_the_residual_before_relu},
    "AddsInPlace": {computing.leaves_its_inputs_alone, computing.adds_the_residual_before_relu, GRADIENT},
    "IsRandom": {computing.is_deterministic, keeping.its_state_is_all_that_it_knows},
    "DetachesTheMean": {GRADIENT},
    "ForgetsTheLayout": {computing.does_the_same_in_every_layout},
    "ComputesInDouble": {computing.keeps_shape_and_dtype},
    "TakesNoEmptyBatch": {computing.learns_nothing_from_no_images},
    "AsksForReLU": {declaring.its_builder_gives_layers},
    "HasASlashInItsLabel": {declaring.declares_what_gnexp_reads},
    "NamesAnotherAtASite": {declaring.stands_at_a_site},
    "LetsNoGradientThrough": {declaring.trains, GRADIENT},
}


# A config of a kind that is in no list cannot be read from a spec; training takes a second.
LEFT_OUT = {declaring.is_a_runs_identity, declaring.trains}


def broken(config: NormConfig, checks: set[Check]) -> set[Check]:
    found = set()
    for check in checks:
        try:
            check(config)
        except (AssertionError, ValueError, TypeError, RuntimeError) as error:  # RuntimeError: of gradcheck
            found |= {check} if str(error) else set()  # a contract that is broken says why
    return found


@pytest.mark.parametrize("name", thin([*PLANTED], 4))
def test_a_planted_norm_breaks_its_contracts_and_no_other(name: str) -> None:
    tried = {*CHECKS} - LEFT_OUT | PLANTED[name]
    assert broken(getattr(planted, name)(), tried) == PLANTED[name]


def test_what_is_planted_on_breaks_nothing() -> None:
    assert not broken(planted.Honest(), {*CHECKS} - {declaring.is_a_runs_identity})


def test_each_contract_can_be_broken() -> None:
    assert set().union(*PLANTED.values()) == {*CHECKS} - {declaring.is_a_runs_identity}


def test_the_choices_are_tried_with_their_own_settings() -> None:
    assert [dataclasses.asdict(norm_of(name))["num_groups"] for name in ("gn", "ln")] == [8, 1]


def test_pytest_is_imported_by_the_contracts_alone() -> None:
    package = Path(gnexp.__file__).parent
    found = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any(alias.name == "pytest" for alias in node.names)
    }
    assert found == {"contracts"}
