"""The network of videos: frames that it keeps, inflation, the fully convolutional test, dropout by key."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gnexp.models.build import build_model
from gnexp.models.i3d import I3D, _pool_frames
from gnexp.models.resnet import ResNet
from gnexp.nn.norm_act import NormAct
from gnexp.nn.norms import norm_factory
from gnexp.nn.statistics import batch_norms
from gnexp.nn.step import Step, step_listeners
from tests.composing import COMPOSER

NORMS = ("gn", "bn", "brn", "ln", "in", "frozen_bn", "none")


def network(model: str, norm: str = "gn", *, workers: int = 1, channels: int = 1, seed: int = 0, **changes):
    run = COMPOSER.run([f"model={model}", f"norm={norm}"])
    config = dataclasses.replace(run.model, **changes)
    return build_model(
        config,
        norm_factory(run.norm, workers),
        channels=channels,
        num_classes=8,
        generator=torch.Generator().manual_seed(seed),
    )


def clips(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tell(model: nn.Module, num: int, epoch: int = 0) -> None:
    for listener in step_listeners(model):
        listener.begin_step(Step(0, epoch, float(epoch), np.arange(num)))


def frames_after(model: I3D, x: torch.Tensor) -> list[int]:
    """Of the stem's convolution and of each stage."""
    seen: list[int] = []
    for module in (model.conv1, *model.stages):
        module.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[2]))
    model.features(x)
    return [*seen]


@pytest.mark.parametrize(("frames", "expected"), [(32, [16, 8, 4, 4, 4]), (64, [32, 16, 8, 8, 8])])
def test_frames_of_the_papers_network(frames: int, expected: list[int]) -> None:
    with torch.device("meta"), torch.no_grad():
        model = network("i3d_resnet50", channels=3)
        assert frames_after(model, torch.zeros(1, 3, frames, 224, 224)) == expected
        assert model.features(torch.zeros(1, 3, frames, 224, 224)).shape == (1, 2048, expected[-1], 7, 7)
        assert model.stride == 32


def test_the_papers_convolutions() -> None:
    """conv1 of 5 x 7 x 7, and 3 x 1 x 1 in the blocks that the paper's code names; no other spans frames."""
    with torch.device("meta"):
        model = network("i3d_resnet50", channels=3)
    assert model.conv1.kernel_size == (5, 7, 7) and model.conv1.stride == (2, 2, 2)
    assert (model.maxpool.kernel_size, model.maxpool.stride) == ((2, 3, 3), (2, 2, 2))
    spanning = {
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv3d) and module.kernel_size[0] > 1 and name != "conv1"
    }
    blocks = {1: (0, 1, 2), 2: (0, 2), 3: (0, 2, 4), 4: (1,)}
    assert spanning == {f"layer{stage}.{i}.conv1" for stage, where in blocks.items() for i in where}
    assert not any(isinstance(module, nn.Conv2d) for module in model.modules())
    assert all(
        m.stride[0] == 1 for n, m in model.named_modules() if isinstance(m, nn.Conv3d) and n != "conv1"
    )


def test_behind_the_first_stage_the_larger_of_two_frames_goes_on() -> None:
    model, seen = network("thin_i3d").eval(), {}
    model.layer1.register_forward_hook(lambda module, inputs, output: seen.update(before=output))
    model.layer2.register_forward_pre_hook(lambda module, inputs: seen.update(behind=inputs[0]))
    model(clips(2, 1, 16, 32, 32))
    before = seen["before"]
    assert before.shape[2] == 8
    assert torch.equal(seen["behind"], torch.maximum(before[:, :, ::2], before[:, :, 1::2]))


@pytest.mark.parametrize("norm", NORMS)
def test_a_step_with_every_norm(norm: str) -> None:
    model = network("thin_i3d", norm, workers=2).double().train()
    x = clips(4, 1, 16, 32, 32).double()
    tell(model, 4)
    model(x).square().sum().backward()
    assert all(
        parameter.grad is not None and bool(parameter.grad.isfinite().all())
        for parameter in model.parameters()
    )
    with torch.device("meta"):
        images = network("thin_resnet", norm, workers=2)
    names = {name for name, module in images.named_modules() if isinstance(module, NormAct)}
    assert {name for name, module in model.named_modules() if isinstance(module, NormAct)} == names


@pytest.mark.parametrize("norm", ["bn", "brn"])
def test_batch_norm_takes_each_workers_clips_over_frames_and_places(norm: str) -> None:
    model = network("thin_i3d", norm, workers=2).double().train()
    x = clips(4, 1, 16, 32, 32).double()
    with torch.no_grad():
        inputs = model.conv1(x)
        tell(model, 4)
        model(x)
    first = batch_norms(model)[0]
    for worker in range(2):
        own = inputs[worker::2].mean((0, 2, 3, 4))
        torch.testing.assert_close(first.running_mean[worker], 0.1 * own, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("frames", "num"), [(6, 2), (7, 3), (2, 2)])
def test_frames_are_pooled_as_torch_pools_them(frames: int, num: int) -> None:
    """Equal ones and NaN too: after a ReLU many places are 0 in every frame, and their gradient goes to the first."""
    x = clips(2, 3, frames, 4, 4).relu()
    x[0, 0, :2] = 1.5
    x[1, 1, 1, 2, 2] = float("nan")
    weights = clips(2, 3, frames // num, 4, 4, seed=1)
    found = []
    for pool in (lambda x: _pool_frames(x, num), lambda x: F.max_pool3d(x, (num, 1, 1))):
        of_x = x.clone().requires_grad_()
        y = pool(of_x)
        y.backward(weights)
        found.append((y.detach(), of_x.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def test_group_norm_takes_one_clip_over_frames_and_places() -> None:
    model = network("thin_i3d").double().eval()
    x = clips(2, 1, 16, 32, 32).double()
    with torch.no_grad():
        maps = model.bn1(model.conv1(x))
        inputs = model.conv1(x)[1].reshape(8, -1)
        expected = (inputs - inputs.mean(1, True)) / (inputs.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        torch.testing.assert_close(maps[1], expected.view(maps[1].shape).relu(), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(model(x)[1], model(x[1:])[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("video", "image"), [("thin_i3d", "thin_resnet"), ("i3d_resnet50", "resnet50")])
def test_a_clip_of_one_picture_gives_what_the_picture_gave(video: str, image: str) -> None:
    """In every frame that has as many before and behind it as the convolution spans."""
    images = network(image, "bn", seed=1).double().eval()
    assert isinstance(images, ResNet)
    model = network(video, "bn", seed=2).double().eval()
    inflated = model.from_images(images.state_dict())
    assert inflated is not None
    model.load_state_dict(inflated)
    picture = clips(2, 1, 64, 64).double()
    still = picture.unsqueeze(2).expand(-1, -1, 16, -1, -1)
    with torch.no_grad():
        expected = images.bn1(images.conv1(picture))
        found = model.bn1(model.conv1(still))
        for frame in range(1, found.shape[2] - 1):
            torch.testing.assert_close(found[:, :, frame], expected, rtol=1e-9, atol=1e-9)
        # Where no frame is missing to any convolution, a stage too: a clip that repeats its ends has none missing.
        block, own = model.layer1[0], images.layer1[0]
        maps = images.stem(picture)
        got = block(maps.unsqueeze(2).expand(-1, -1, 5, -1, -1))
        torch.testing.assert_close(got[:, :, 2], own(maps), rtol=1e-9, atol=1e-9)


def test_inflation_keeps_norms_and_the_models_own_classifier() -> None:
    images, model = network("thin_resnet", seed=1), network("thin_i3d", seed=2)
    own = {key: value.clone() for key, value in model.state_dict().items()}
    inflated = model.from_images(images.state_dict())
    assert inflated is not None and inflated.keys() == own.keys()
    for key, value in images.state_dict().items():
        if key.startswith("fc."):
            assert torch.equal(inflated[key], own[key])
        elif value.dim() == 4:
            torch.testing.assert_close(inflated[key].sum(2), value)
            assert torch.equal(inflated[key][:, :, 0], inflated[key][:, :, -1])
        else:
            assert torch.equal(inflated[key], value)
    assert model.from_images(own) is None, "a network of videos is not inflated again"


def test_the_fully_convolutional_test() -> None:
    model = network("thin_i3d").double().eval()
    nn.init.normal_(model.fc.weight, std=1.0, generator=torch.Generator().manual_seed(0))
    x = clips(3, 1, 16, 32, 64).double()
    with torch.no_grad():
        found = model.predict(x, 32)
        torch.testing.assert_close(found.sum(1), torch.ones(3))
        maps = model.features(x).mean(2)
        assert maps.shape[2:] == (2, 4)
        places = [model.fc(maps[:, :, :, i : i + 2].mean((2, 3))).softmax(1) for i in range(3)]
        torch.testing.assert_close(found, torch.stack(places).mean(0).float())  # probabilities are of float32
        # On the training crop it is the classifier itself.
        torch.testing.assert_close(model.predict(x[..., :32], 32), model(x[..., :32]).softmax(1).float())


def test_dropout_is_the_clips_own() -> None:
    model = network("thin_i3d").double().train()
    nn.init.normal_(model.fc.weight, generator=torch.Generator().manual_seed(0))
    x = clips(4, 1, 16, 32, 32).double()
    with torch.no_grad():
        tell(model, 4)
        whole = model(x)
        for listener in step_listeners(model):
            listener.begin_step(Step(0, 0, 0.0, np.arange(2, 4)))
        torch.testing.assert_close(model(x[2:]), whole[2:], rtol=1e-9, atol=1e-9)
        tell(model, 4, epoch=1)
        assert not torch.allclose(model(x), whole, atol=1e-3)


def test_clips_that_the_poolings_leave_nothing_of() -> None:
    with pytest.raises(
        ValueError, match="clips of 2 frames leave 1 for a pooling of 2; raise data.clip_length"
    ):
        network("thin_i3d").eval()(torch.zeros(1, 1, 2, 32, 32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temporal_kernels": (3, 3)}, "model.temporal_kernels must have one for each of the 4 blocks, got"),
        ({"temporal_kernels": (3, 3, 3, 2)}, "model.temporal_kernels must be odd"),
        ({"stem_frames": 4}, "model.stem_frames must be odd"),
        ({"temporal_strides": (2, 2, 2)}, "have 1 for the pool, which stem conv3x3 has not"),
        ({"temporal_strides": (2, 1)}, "model.temporal_strides must be three numbers"),
        ({"dropout": None}, "model.dropout is missing: kind i3d needs it"),
        ({"stem_frames": None}, "model.stem_frames is missing: kind i3d needs it"),
        ({"kind": "resnet"}, "model.kind must be i3d here, got resnet"),
    ],
)
def test_what_the_config_refuses(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network("thin_i3d", **changes)
