"""The learning-rate rule and schedules, and what weight decay falls on."""

import dataclasses
import math
from typing import Any

import pytest
import torch

from gnexp.config import RecipeConfig, RunConfig, norm_config
from gnexp.engine.optimizer import build_optimizer, lr_at
from gnexp.nn.batch_norm import BatchNormAct
from gnexp.tasks.classification import Classification

PAPER = RecipeConfig(
    name="imagenet", epochs=100, schedule="step", milestones=(30, 60, 90), drop_factor=0.1, report_epochs=5
)


@pytest.mark.parametrize("batch", [32, 16, 8, 4, 2])
def test_initial_lr_is_the_papers(batch: int) -> None:
    """0.1 * N / 32 for N images per worker at 8 workers (Section 4.1)."""
    assert RunConfig(recipe=PAPER, batch=batch, workers=8).lr == pytest.approx(0.1 * batch / 32)


def test_step_schedule_drops_after_epochs_30_60_and_90() -> None:
    run = RunConfig(recipe=PAPER)
    found = [lr_at(run, epoch, 0, 10) for epoch in (0, 29, 30, 59, 60, 89, 90, 99)]
    assert found == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001])


def test_linear_schedule_ends_at_zero_and_counts_steps() -> None:
    run = RunConfig(recipe=RecipeConfig(epochs=4, base_lr=0.4), batch=32, workers=4)
    found = [lr_at(run, epoch, step, 2) for epoch in range(4) for step in range(2)]
    assert found == pytest.approx([0.2 * (8 - i) / 8 for i in range(8)])


def test_warmup_rises_to_the_initial_lr() -> None:
    run = RunConfig(recipe=dataclasses.replace(PAPER, warmup_epochs=2))
    assert [lr_at(run, e, s, 2) for e in (0, 1) for s in (0, 1)] == pytest.approx([0.025, 0.05, 0.075, 0.1])
    assert lr_at(run, 2, 0, 2) == pytest.approx(0.1)


def test_cosine_schedule_falls_along_half_a_cosine() -> None:
    run = RunConfig(recipe=RecipeConfig(epochs=4, base_lr=0.4, schedule="cosine"), batch=32, workers=4)
    found = [lr_at(run, epoch, step, 2) for epoch in range(4) for step in range(2)]
    assert found == pytest.approx([0.1 * (1 + math.cos(math.pi * i / 8)) for i in range(8)])
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(torch.optim.SGD([torch.zeros(1)], lr=0.2), T_max=8)
    for lr in found:
        assert lr == pytest.approx(torchs.get_last_lr()[0])
        torchs.optimizer.step()
        torchs.step()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("norm", [{"kind": "bn", "momentum": 0.1}, {"kind": "frn"}, {"kind": "evonorm_s0"}])
@pytest.mark.parametrize(("norm_weight_decay", "expected"), [(None, 1e-4), (0.0, 0.0)])
def test_weight_decay_falls_on_all_of_a_norm_unless_told_otherwise(
    optimizer: str, norm_weight_decay: float | None, expected: float, norm: dict[str, Any]
) -> None:
    recipe = RecipeConfig(norm_weight_decay=norm_weight_decay, optimizer=optimizer)
    run = RunConfig(recipe=recipe, norm=norm_config(**norm))
    model = Classification().build_model(run, torch.Generator())
    optimizer = build_optimizer(model, run)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    names = dict(model.named_parameters())
    assert len(decay) == len(names)
    for name, parameter in names.items():
        is_norm = "bn" in name or "downsample.1" in name
        assert decay[id(parameter)] == (expected if is_norm else 1e-4), name


def test_sgd_is_the_papers() -> None:
    run = RunConfig(recipe=PAPER)
    (first, second) = build_optimizer(Classification().build_model(run, torch.Generator()), run).param_groups
    for group in (first, second):
        assert (group["momentum"], group["nesterov"], group["dampening"], group["lr"]) == (0.9, True, 0, 0.1)


def test_adamw_is_the_papers() -> None:
    """A step by the equations of Loshchilov & Hutter (2019), Algorithm 2, in float64."""
    recipe = RecipeConfig(
        base_lr=0.3, base_total_batch=1, optimizer="adamw", beta1=0.8, beta2=0.9, eps=1e-3, weight_decay=0.5
    )
    layer = torch.nn.Linear(3, 2).double()
    optimizer = build_optimizer(layer, RunConfig(recipe=recipe, batch=1, workers=1))
    weight = layer.weight.detach().clone()
    mean, square = torch.zeros_like(weight), torch.zeros_like(weight)
    for step in (1, 2, 3):
        layer.weight.grad = torch.linspace(-1, 2, 6).double().view(2, 3) * step
        mean = 0.8 * mean + 0.2 * layer.weight.grad
        square = 0.9 * square + 0.1 * layer.weight.grad**2
        ratio = (mean / (1 - 0.8**step)) / ((square / (1 - 0.9**step)).sqrt() + 1e-3)
        weight = weight - 0.3 * (ratio + 0.5 * weight)
        optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), weight, rtol=0, atol=1e-12)


def test_a_warm_up_in_steps_starts_at_its_factor() -> None:
    recipe = RecipeConfig(
        epochs=4, epoch_steps=10, base_lr=1.0, base_total_batch=1, warmup_steps=15, warmup_factor=1 / 3
    )
    run = RunConfig(recipe=recipe, batch=1, workers=1)
    assert lr_at(run, 0, 0, 10) == pytest.approx(1 / 3)
    assert lr_at(run, 0, 6, 10) == pytest.approx(1 / 3 * 0.6 + 0.4)
    assert lr_at(run, 1, 5, 10) == 1 - 1.5 / 4  # warmed up: the schedule alone


def test_biases_have_a_rate_and_a_decay_of_their_own_where_the_recipe_says_so() -> None:
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 3), BatchNormAct(3, workers=1, eps=1e-5, momentum=0.1, relu=False)
    )
    recipe = RecipeConfig(
        base_lr=0.1, weight_decay=0.5, norm_weight_decay=0.25, bias_lr_factor=2.0, bias_weight_decay=0.0
    )
    linear = model[0]
    linear.weight.requires_grad_(False)
    groups = build_optimizer(model, RunConfig(recipe=recipe)).param_groups
    found = [(group["params"], group["weight_decay"], group.get("lr_factor")) for group in groups]
    assert len(found) == 2  # what is frozen is in none
    (biases, decay, factor), (norms, norm_decay, _) = found
    assert biases == [linear.bias] and (decay, factor) == (0.0, 2.0)
    assert {id(p) for p in norms} == {id(p) for p in model[1].parameters()} and norm_decay == 0.25
