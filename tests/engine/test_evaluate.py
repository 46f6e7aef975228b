"""The three statistics of evaluation."""

import copy
import dataclasses

import pytest
import torch

from gnexp.config import RecipeConfig, RunConfig, data_config, norm_config
from gnexp.data.loader import train_batches, val_batches
from gnexp.engine.evaluate import evaluate
from gnexp.engine.state import State, build
from gnexp.engine.train import train
from gnexp.nn.statistics import batch_norms, with_precise_stats

RUN = RunConfig(
    norm=norm_config(kind="bn", momentum=0.1),
    data=data_config(exposure=1.0, clutter=0, num_train=96, num_val=70),
    recipe=RecipeConfig(epochs=2, base_lr=0.4),
    batch=2,
    workers=4,
)


@pytest.fixture(scope="module")
def trained() -> State:
    state = build(RUN, torch.device("cpu"))
    for _ in train(state):
        pass
    return state


def score(state: State, model: torch.nn.Module) -> dict[str, float]:
    with torch.no_grad():
        return state.task.aggregate(
            [state.task.measure(model, val_batches(state.dataset, size=7), state.dataset)], state.dataset
        )


def of_all(batches: list[torch.Tensor]) -> list[tuple[torch.Tensor, slice]]:
    """The batches, each of all workers."""
    return [(images, slice(0, RUN.workers)) for images in batches]


def test_each_choice_is_what_it_says(trained: State) -> None:
    scores = evaluate(trained, ["worker0", "mean", "precise"], epoch=2)
    for stats, row in (("worker0", slice(0, 1)), ("mean", slice(0, 4))):
        by_hand = copy.deepcopy(trained.model).eval()
        for norm in batch_norms(by_hand):
            norm.running_mean.copy_(norm.running_mean[row].mean(0).expand_as(norm.running_mean))
            norm.running_var.copy_(norm.running_var[row].mean(0).expand_as(norm.running_var))
        assert scores[stats] == score(trained, by_hand)
    assert set(scores) == {"worker0", "mean", "precise"}


def test_evaluation_leaves_the_model_alone(trained: State) -> None:
    before = copy.deepcopy(trained.model.state_dict())
    was_training = trained.model.training
    evaluate(trained, ["worker0", "mean", "precise"], epoch=2)
    assert trained.model.training == was_training
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_precise_statistics_pool_all_images_of_the_first_layer(trained: State) -> None:
    """The first norm's input does not depend on batch statistics, so its pooled moments are those of all images."""
    batches = [b.images for b in train_batches(trained.dataset, seed=0, epoch=0, total_batch=RUN.total_batch)]
    precise = with_precise_stats(trained.model, of_all(batches))
    with torch.no_grad():
        inputs = trained.model.get_submodule("conv1")(torch.cat(batches)).double()
    norm = batch_norms(precise)[0]
    for worker in range(RUN.workers):
        torch.testing.assert_close(
            norm.running_mean[worker].double(), inputs.mean((0, 2, 3)), rtol=1e-4, atol=1e-5
        )
        expected = inputs.var((0, 2, 3), correction=0)
        torch.testing.assert_close(norm.running_var[worker].double(), expected, rtol=1e-4, atol=1e-5)
    assert not precise.training


def test_precise_statistics_pool_by_the_law_of_total_variance() -> None:
    """Deeper layers too: against the plain sums over every batch's own moments."""
    state = build(dataclasses.replace(RUN, norm=norm_config(kind="bn", momentum=0.5)), torch.device("cpu"))
    state.model.double()
    batches = [b.images.double() for b in train_batches(state.dataset, seed=0, epoch=0, total_batch=8)]
    seen: list[torch.Tensor] = []
    probe = copy.deepcopy(state.model).train()
    batch_norms(probe)[5].register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    for images in batches:
        probe(images)
    values = torch.cat(seen)
    norm = batch_norms(with_precise_stats(state.model, of_all(batches)))[5]
    torch.testing.assert_close(norm.running_mean[0], values.mean((0, 2, 3)), rtol=0, atol=1e-10)
    torch.testing.assert_close(norm.running_var[0], values.var((0, 2, 3), correction=0), rtol=0, atol=1e-10)


def test_a_norm_without_running_statistics_has_one_score() -> None:
    state = build(dataclasses.replace(RUN, norm=norm_config(num_groups=4)), torch.device("cpu"))
    scores = evaluate(state, ["worker0", "mean", "precise"], epoch=0)
    assert scores["worker0"] == scores["mean"] == scores["precise"]


def test_precise_images_bounds_the_pass(trained: State) -> None:
    limited = dataclasses.replace(RUN, recipe=dataclasses.replace(RUN.recipe, precise_images=20))
    state = dataclasses.replace(trained, run=limited)
    first, rest = [
        [b.images for b in train_batches(trained.dataset, seed=0, epoch=trained.epoch, total_batch=8)][part]
        for part in (slice(0, 2), slice(0, None))
    ]
    found = evaluate(state, ["precise"], epoch=trained.epoch)["precise"]
    assert found == score(trained, with_precise_stats(trained.model, of_all(first)))
    assert len(rest) == 12
