"""The loop: what it yields, that it repeats and resumes exactly, and that it stops before a bad update."""

import copy
import dataclasses
from typing import Any

import pytest
import torch

from gnexp.config import NormConfig, RecipeConfig, RunConfig, data_config, model_config, norm_config
from gnexp.engine.processes import ALONE
from gnexp.engine.state import State, build
from gnexp.engine.train import DivergedError, EpochRecord, StepRecord, train
from tests.engine.group import build_as
from tests.grids import thin

CPU = torch.device("cpu")
BN = norm_config(kind="bn", momentum=0.1)
# Its ramp goes on past the first epoch, after which the test below interrupts.
BRN = norm_config(kind="brn", momentum=0.1, r_max=1.5, d_max=0.5, renorm_ramp=(0.1, 1.5, 2.5))
SYNC_BN = norm_config(kind="sync_bn", momentum=0.1)
SMOKE = RunConfig(
    norm=BN,
    data=data_config(exposure=1.0, clutter=0, num_train=100, num_val=50, shift=1),
    recipe=RecipeConfig(epochs=3, base_lr=0.4, report_epochs=2),
    batch=4,
    workers=4,
)


def epochs(state: State) -> list[dict[str, float | int]]:
    return [record.metrics for record in train(state) if isinstance(record, EpochRecord)]


def weights(state: State) -> dict[str, torch.Tensor]:
    return copy.deepcopy(state.model.state_dict())


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_records() -> None:
    records = list(train(build(SMOKE, CPU)))
    steps = [r for r in records if isinstance(r, StepRecord)]
    assert [(r.epoch, r.step) for r in steps] == [(e, s) for e in (1, 2, 3) for s in range(1, 7)]
    assert [type(r) for r in records[:7]] == [StepRecord] * 6 + [EpochRecord]
    first, second, third = [r.metrics for r in records if isinstance(r, EpochRecord)]
    assert set(first) == {"epoch", "lr", "train/loss", "train/top1_error", "val/top1_error"}
    # All three statistics at each reported epoch.
    assert set(second) == set(third) == {*first, "val/top1_error_mean", "val/top1_error_precise"}
    assert first["train/loss"] == pytest.approx(sum(r.loss for r in steps[:6]) / 6)


def test_a_run_repeats_bit_for_bit_and_uses_no_global_randomness() -> None:
    first, second = build(SMOKE, CPU), build(SMOKE, CPU)
    records = epochs(first)
    torch.manual_seed(12345)
    before = torch.get_rng_state()
    assert epochs(second) == records
    assert torch.equal(before, torch.get_rng_state())
    assert_equal(weights(first), weights(second))


@pytest.mark.parametrize("norm", thin([BRN, BN, SYNC_BN]), ids=["brn", "bn", "sync_bn"])
def test_resume_equals_the_uninterrupted_run(norm: NormConfig) -> None:
    run = dataclasses.replace(SMOKE, norm=norm)
    whole = build(run, CPU)
    expected = epochs(whole)
    interrupted = build(run, CPU)
    for record in train(interrupted):
        if isinstance(record, EpochRecord):
            break
    saved = copy.deepcopy(interrupted.state_dict())
    resumed = build(run, CPU)
    resumed.load_state_dict(saved)
    assert epochs(resumed) == expected[1:]
    assert_equal(weights(whole), weights(resumed))


def test_a_checkpoint_that_is_taken_up_stays_as_it_is() -> None:
    """Whoever trains on from it: a second state that starts from it computes the same."""
    first = build(SMOKE, CPU)
    next(train(first))
    saved = first.state_dict()
    before = copy.deepcopy(saved)
    ends = []
    for _ in range(2):
        resumed = build(SMOKE, CPU)
        resumed.load_state_dict(saved)
        ends.append(epochs(resumed))
    assert ends[0] == ends[1]
    for parts in (saved["model"], before["model"]), *zip(momenta(saved), momenta(before), strict=True):
        assert_equal(*parts)


def momenta(saved: dict[str, Any]) -> list[dict[str, torch.Tensor]]:
    return list(saved["optimizer"]["state"].values())


@pytest.mark.slow
def test_it_learns() -> None:
    data = dataclasses.replace(SMOKE.data, num_train=640, exposure=0.0)
    run = dataclasses.replace(
        SMOKE, data=data, norm=norm_config(num_groups=8), recipe=RecipeConfig(epochs=6, base_lr=0.8)
    )
    last = epochs(build(run, CPU))[-1]
    assert last["val/top1_error"] < 60  # 90 is chance


def test_another_seed_is_another_run() -> None:
    first = epochs(build(SMOKE, CPU))[0]["train/loss"]
    assert first != epochs(build(dataclasses.replace(SMOKE, seed=1), CPU))[0]["train/loss"]


@pytest.mark.parametrize("norm", [BN, norm_config(num_groups=4)], ids=["bn", "gn"])
def test_virtual_workers_train_as_separate_workers_with_averaged_gradients(norm: NormConfig) -> None:
    """One step in float64: the whole batch at once, against one model per worker and the mean of their gradients."""
    run = dataclasses.replace(SMOKE, norm=norm, recipe=RecipeConfig(base_lr=0.4, weight_decay=0.0))
    state = build(run, CPU)
    state.model.double()
    batch = next(state.dataset.train_batches(0, 0, [torch.arange(run.total_batch).numpy()]))
    alone = build(dataclasses.replace(run, workers=1), CPU)
    images = batch.images.double()
    loss = torch.nn.functional.cross_entropy(state.model(images), batch.labels)
    loss.backward()
    summed = {name: torch.zeros_like(p) for name, p in state.model.named_parameters()}
    for worker in range(run.workers):
        model = copy.deepcopy(alone.model).double()
        own = torch.nn.functional.cross_entropy(
            model(images[worker :: run.workers]), batch.labels[worker :: run.workers]
        )
        own.backward()
        for name, parameter in model.named_parameters():
            summed[name] += parameter.grad / run.workers
        for name, buffer in model.named_buffers():
            if "running" in name:
                theirs = state.model.get_buffer(name)[worker]
                torch.testing.assert_close(theirs, buffer[0], rtol=0, atol=1e-10)
    for name, parameter in state.model.named_parameters():
        torch.testing.assert_close(parameter.grad, summed[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm", thin([norm_config(num_groups=8), BN]), ids=["gn", "bn"])
def test_memory_format_changes_nothing_but_rounding(norm: NormConfig) -> None:
    run = dataclasses.replace(SMOKE, norm=norm, recipe=RecipeConfig(epochs=1, base_lr=0.1))
    runs = (run, dataclasses.replace(run, memory_format="channels_last"))
    first, second = (epochs(build_as(one, ALONE, torch.float64))[0] for one in runs)
    assert second["train/loss"] == pytest.approx(first["train/loss"], rel=1e-9)


def test_a_non_finite_loss_stops_before_the_update() -> None:
    state = build(SMOKE, CPU)
    steps = train(state)
    next(steps)
    state.model.get_parameter("fc.bias").data.fill_(float("inf"))
    before = {name: p.detach().clone() for name, p in state.model.named_parameters()}
    with pytest.raises(DivergedError, match="the loss became nan in epoch 1, step 2 of 6"):
        next(steps)
    assert all(torch.equal(p, before[name]) for name, p in state.model.named_parameters())


def test_a_learning_rate_that_is_too_large_ends_in_divergence() -> None:
    run = dataclasses.replace(
        SMOKE, norm=norm_config(kind="none"), recipe=RecipeConfig(epochs=3, base_lr=1e6)
    )
    state = build(run, CPU)
    before = weights(state)

    def remember() -> None:
        nonlocal before
        for _ in train(state):
            before = weights(state)

    with pytest.raises(
        DivergedError, match=r"(the loss became \w+|a gradient is not finite) in epoch \d, step \d"
    ):
        remember()
    # The last update that happened was the one before the bad step.
    assert_equal(before, weights(state))


def test_a_gradient_that_is_not_finite_stops_before_the_update() -> None:
    """While the loss still is: a backward pass overflows sooner than a forward pass."""
    state = build(SMOKE, CPU)
    steps = train(state)
    next(steps)
    before = {name: p.detach().clone() for name, p in state.model.named_parameters()}
    next(state.model.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DivergedError, match="a gradient is not finite in epoch 1, step 2 of 6"):
        next(steps)
    assert all(torch.equal(p, before[name]) for name, p in state.model.named_parameters())
    assert (state.epoch, state.step) == (0, 1)


def test_weights_that_an_epochs_last_update_ruined_make_no_record() -> None:
    """One step an epoch: its loss is finite, its update is not, and no later loss of that epoch would tell."""
    data = dataclasses.replace(SMOKE.data, num_train=SMOKE.total_batch)
    run = dataclasses.replace(SMOKE, data=data, recipe=RecipeConfig(epochs=1, base_lr=1e45))
    records = []
    with pytest.raises(DivergedError, match="a weight is not finite at the end of epoch 1"):
        records.extend(train(build(run, CPU)))
    assert not any(isinstance(record, EpochRecord) for record in records)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm": norm_config(num_groups=5)}, "layer bn1: .*got C=16 and G=5"),
        (
            {
                "batch": 1,
                "workers": 2,
                "data": data_config(image_size=32),
                "model": model_config(blocks=(1,) * 5, widths=(16, 16, 16, 16, 16), stem_stride=2),
            },
            "layer5.*more than one value per channel",
        ),
        ({"batch": 64}, "at least batch \\* workers = 256 images, data=fashion_scenes has 100"),
    ],
)
def test_what_cannot_be_trained_says_so_before_training(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(dataclasses.replace(SMOKE, **change), CPU)  # type: ignore[arg-type]
