"""Every contract on every norm: gnexp's own and those of installed packages (`-k NAME` for one norm)."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable

import pytest

from gnexp.compose.composer import Composer
from gnexp.config import NormConfig
from gnexp.config.keys import group_options
from gnexp.config.kinds import classes_of, offers
from gnexp.contracts import averaging, computing, declaring, keeping

Check = Callable[[NormConfig], None]
CHECKS: tuple[Check, ...] = (
    declaring.declares_what_gnexp_reads,
    declaring.its_builder_gives_layers,
    declaring.is_a_runs_identity,
    declaring.stands_at_a_site,
    computing.keeps_shape_and_dtype,
    computing.has_the_gradient_of_what_it_computes,
    computing.adds_the_residual_before_relu,
    computing.leaves_its_inputs_alone,
    computing.is_deterministic,
    computing.does_the_same_in_every_layout,
    computing.learns_nothing_from_no_images,
    averaging.averages_over_what_it_says,
    averaging.takes_images_in_any_order,
    averaging.virtual_workers_are_workers,
    averaging.workers_can_be_taken_in_passes,
    averaging.keeps_groups_apart,
    keeping.its_state_is_all_that_it_knows,
    keeping.copies_are_apart,
    keeping.keeps_running_stats_as_it_says,
    keeping.starts_from_gamma_as_it_says,
    keeping.trains_nothing_that_it_freezes,
    declaring.trains,
)
NORMS = group_options(NormConfig.group)


@functools.cache
def norm_of(option: str) -> NormConfig:
    """The norm that `norm=option` chooses, its groups those of the default model."""
    return Composer().run([f"norm={option}"]).norm


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_norm(check: Check, norm: str) -> None:
    """One contract on one norm."""
    check(norm_of(norm))


def test_every_kind_is_a_choice() -> None:
    """What is declared is tried."""
    assert {norm_of(option).kind for option in NORMS} == {*classes_of(NormConfig.group)}


def test_every_package_can_be_read() -> None:
    """A package whose norm is left out is told with the reason."""
    assert not offers().notes, "\n".join(offers().notes)


def test_norms_are_read_without_torch() -> None:
    """Each command reads all of them, and torch costs seconds."""
    code = "from gnexp.config.kinds import offers; import sys; print(*offers().notes); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"torch is imported to read norms {done.stdout}{done.stderr}"
