"""The probe of the last convolution, and a VGG that trains with it."""

import copy
import dataclasses
import functools
import json

import numpy as np
import pytest
import torch

from gnexp.config import NormConfig, RecipeConfig, norm_config
from gnexp.data.loader import val_batches
from gnexp.engine import probe as probe_module
from gnexp.engine.probe import probe, probe_start
from gnexp.engine.state import State, build
from gnexp.engine.train import DivergedError, EpochRecord, StepRecord, train
from gnexp.nn.running_norm import RunningNormAct
from gnexp.nn.statistics import batch_norms
from tests.composing import COMPOSER
from tests.grids import keep, thin

CPU = torch.device("cpu")
BN = norm_config(kind="bn", momentum=0.1)
NONE = norm_config(kind="none")
KEYS = ["probe/p1", "probe/p20", "probe/p80", "probe/p99"]
START = [key.replace("/", "/start_") for key in KEYS]
THIN = COMPOSER.run(["scale=smoke", "model=thin_vgg", "data.num_train=64", "data.num_val=520"])
RUN = dataclasses.replace(
    THIN,
    model=dataclasses.replace(THIN.model, blocks=(1, 1, 2), widths=(8, 8, 16), classifier_widths=(64, 64)),
    batch=8,
    workers=2,
    recipe=RecipeConfig(epochs=2, base_lr=0.1, report_epochs=1),
)


def records(state: State) -> list[dict[str, float | int]]:
    return [record.metrics for record in train(state) if isinstance(record, EpochRecord)]


@functools.cache
def trained(norm: NormConfig) -> tuple[State, list[dict[str, float | int]]]:
    state = build(dataclasses.replace(RUN, norm=norm), CPU)
    return state, records(state)


@pytest.mark.parametrize("norm", thin([BN, NONE, norm_config(num_groups=4)]), ids=["bn", "none", "gn"])
def test_it_is_the_percentiles_of_the_last_convolutions_output(norm: NormConfig) -> None:
    """By hand: the layers before, then the convolution, bias included, on the first 500 of 520 images."""
    state, series = trained(norm)
    model = copy.deepcopy(state.model).eval()
    for bn in batch_norms(model):
        bn.running_mean.copy_(bn.running_mean[:1].expand_as(bn.running_mean))
        bn.running_var.copy_(bn.running_var[:1].expand_as(bn.running_var))
    images = torch.cat([batch.images for batch in val_batches(state.dataset, size=520)])[:500]
    features = model.get_submodule("features")
    last = max(i for i, module in enumerate(features) if isinstance(module, torch.nn.Conv2d))
    with torch.no_grad():
        for module in features[:last]:
            images = module(images)
        bias = features[last].bias.detach()
        values = torch.nn.functional.conv2d(images, features[last].weight, None, padding=1)
        values += bias.view(1, -1, 1, 1)
    assert values.shape == (500, 16, 8, 8)
    assert norm.kind != "none" or float(bias.abs().max()) > 0
    expected = np.percentile(values.numpy(), [1, 20, 80, 99])
    found = probe(state)
    np.testing.assert_allclose(list(found.values()), expected, rtol=0, atol=1e-4 * float(values.std()))
    assert list(found) == KEYS
    assert [series[-1][key] for key in KEYS] == list(found.values())


def test_each_epochs_record_has_it_as_plain_numbers() -> None:
    _, series = trained(BN)
    assert len(series) == 2
    for record in series:
        assert all(type(record[key]) is float for key in KEYS)
        assert record["probe/p1"] < record["probe/p20"] < record["probe/p80"] < record["probe/p99"]
        assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert series[0]["probe/p1"] != series[1]["probe/p1"]
    assert [key for key in series[0] if "start" in key] == START
    assert not any("start" in key for key in series[1])


@pytest.mark.parametrize("kind", keep(["gn", "bn"], ["none", "gn", "bn", "sync_bn", "brn"]))
def test_before_training_it_is_the_initial_networks_with_the_statistics_of_its_images(kind: str) -> None:
    run = COMPOSER.run(["scale=smoke", "model=thin_vgg", "data.num_val=60", f"norm={kind}"])
    model = copy.deepcopy(build(run, CPU).model).double().eval()
    images = torch.cat([b.images for b in val_batches(build(run, CPU).dataset, size=60)]).double()
    for norm in batch_norms(model):
        norm.register_forward_hook(by_its_input)
    seen: list[torch.Tensor] = []
    model.probed_layer.register_forward_hook(lambda layer, inputs, output: seen.append(output.clone()))
    with torch.no_grad():
        model(images)
    expected = np.percentile(seen[0].numpy(), [1, 20, 80, 99])
    found = probe_start(build(run, CPU))
    np.testing.assert_allclose(list(found.values()), expected, rtol=2e-3, atol=1e-4)
    alone = probe_start(build(dataclasses.replace(run, workers=1), CPU))
    assert alone == found  # whatever the workers


def by_its_input(
    norm: RunningNormAct, inputs: tuple[torch.Tensor, ...], output: torch.Tensor
) -> torch.Tensor:
    """What batch norm with its ReLU is by the equation; weight is 1 and bias 0."""
    (x,) = inputs
    var, mean = torch.var_mean(x, (0, 2, 3), keepdim=True, correction=0)
    return ((x - mean) / (var + norm.eps).sqrt()).relu()


def test_weights_that_were_loaded_have_statistics_of_their_own() -> None:
    run = dataclasses.replace(RUN, norm=BN, init="0" * 12)
    state = build(run, CPU)
    for norm in batch_norms(state.model):
        norm.running_var.fill_(4.0)
    loaded = probe_start(state)
    assert list(loaded) == START and list(loaded.values()) == list(probe(state).values())


def test_it_leaves_the_model_alone_and_its_batches_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = trained(BN)
    state.model.train()
    before, first = copy.deepcopy(state.model.state_dict()), probe(state)
    monkeypatch.setattr(probe_module, "_EVAL_SIZE", 33)
    second = probe(state)
    spread = first["probe/p99"] - first["probe/p1"]
    np.testing.assert_allclose(list(second.values()), list(first.values()), rtol=0, atol=1e-5 * spread)
    assert state.model.training
    assert not any(module._forward_hooks for module in state.model.modules())
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_model_without_a_probed_layer_adds_nothing() -> None:
    run = COMPOSER.run(["scale=smoke", "data.num_train=64", "data.num_val=20", "recipe.epochs=1", "batch=4"])
    state = build(run, CPU)
    assert probe(state) == {}
    assert not any(key.startswith("probe") for key in records(state)[0])


def test_an_output_that_overflowed_is_divergence() -> None:
    """Weights and the loss of the last step may still be finite then; a record may not hold infinities."""
    run = dataclasses.replace(RUN, norm=NONE, data=dataclasses.replace(RUN.data, num_train=RUN.total_batch))
    state = build(run, CPU)
    records_of_run = train(state)
    assert isinstance(next(records_of_run), StepRecord)
    for parameter in state.model.parameters():
        parameter.data.fill_(1e30)
    with pytest.raises(DivergedError, match="probed layer's output is not finite at the end of epoch 1"):
        next(records_of_run)
    assert state.epoch == 0


def test_a_run_with_dropout_repeats_and_resumes_and_uses_no_global_randomness() -> None:
    whole, expected = trained(NONE)
    torch.manual_seed(12345)
    before = torch.get_rng_state()
    interrupted = build(dataclasses.replace(RUN, norm=NONE), CPU)
    torch.set_rng_state(before)
    for record in train(interrupted):
        if isinstance(record, StepRecord):
            break  # within the first epoch, whose record says what was before it
    saved = copy.deepcopy(interrupted.state_dict())
    assert torch.equal(before, torch.get_rng_state())
    resumed = build(dataclasses.replace(RUN, norm=NONE), CPU)
    resumed.load_state_dict(saved)
    assert records(resumed) == expected
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_dropout_is_on_in_training() -> None:
    """The loss of the first step, from the same weights and images, is another without it."""
    losses = []
    for p in (0.0, 0.5):
        run = dataclasses.replace(RUN, model=dataclasses.replace(RUN.model, dropout=p))
        first = next(iter(train(build(run, CPU))))
        assert isinstance(first, StepRecord)
        losses.append(first.loss)
    assert losses[0] != losses[1]
