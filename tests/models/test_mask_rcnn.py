"""Mask R-CNN against torchvision's; what it is made of, what depends on what, and what is random."""

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.detection import MaskRCNN as TorchvisionMaskRCNN
from torchvision.models.detection import (
    MaskRCNN_ResNet50_FPN_V2_Weights,
    MaskRCNN_ResNet50_FPN_Weights,
    roi_heads,
)
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.image_list import ImageList

from gnexp.config import model_config
from gnexp.models.build import build_model
from gnexp.models.mask_rcnn import Anchors, MaskRCNN
from gnexp.models.roi_heads import mask_loss
from gnexp.nn.norms import norm_factory
from gnexp.ops.resizing import nearest_pixels, resized_size
from tests.models.detection_cases import (
    ALL_GN,
    COMPOSER,
    THIN,
    config_of,
    detector,
    losses,
    scene,
    train_steps,
)

RGB: dict[str, Any] = {"mean": (0.5,) * 3, "std": (0.25,) * 3}


def on_meta(model: str, norm: str, *overrides: str) -> MaskRCNN:
    with torch.device("meta"):
        return detector(model, norm, *overrides, **RGB, num_classes=90)


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def num_params(weights: Any) -> int:
    """What torchvision publishes of its own network."""
    return int(weights.meta["num_params"])


def test_r50_fpn_has_the_parameters_that_torchvision_publishes() -> None:
    """Its first Mask R-CNN has frozen norms and two linear layers; its second BN everywhere, and a deeper RPN."""
    first = on_meta("mask_rcnn_r50_fpn", "frozen_bn", "box_head=2fc")
    assert num_parameters(first) == num_params(MaskRCNN_ResNet50_FPN_Weights.COCO_V1)
    for norm in ("bn", "gn"):
        places = [f"{place}_norm={norm}" for place in ("fpn", "box", "mask")]
        second = on_meta("mask_rcnn_r50_fpn", norm, *places)
        rpn_conv = 256 * 256 * 9 + 256
        assert num_parameters(second) == num_params(MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1) - rpn_conv


def test_r101_fpn_is_deeper_by_resnet101s_blocks() -> None:
    deeper = num_params(torchvision.models.ResNet101_Weights.IMAGENET1K_V1) - num_params(
        torchvision.models.ResNet50_Weights.IMAGENET1K_V1
    )
    r50, r101 = (num_parameters(on_meta(f"mask_rcnn_{name}_fpn", "gn")) for name in ("r50", "r101"))
    assert r101 - r50 == deeper


def test_r50_c4_is_resnet50_and_thin_heads() -> None:
    """One fourth stage for box and mask; counted by hand from Detectron's rpn_heads.py and mask_rcnn_heads.py."""
    model = on_meta("mask_rcnn_r50_c4", "gn")
    resnet50 = num_params(torchvision.models.ResNet50_Weights.IMAGENET1K_V1) - 2049 * 1000
    rpn = 1024 * 1024 * 9 + 1024 + 1025 * 15 + 1025 * 15 * 4
    box = 2049 * 91 + 2049 * 91 * 4
    mask = 2048 * 256 * 4 + 256 + 257 * 91
    assert num_parameters(model) == resnet50 + rpn + box + mask
    assert not hasattr(model.backbone.body, "layer4")


@pytest.mark.parametrize("name", ["mask_rcnn_r50_c4", "mask_rcnn_r50_fpn", "mask_rcnn_r101_fpn", *THIN])
@pytest.mark.parametrize(
    "norm", ["gn", *(pytest.param(norm, marks=pytest.mark.slow) for norm in ("bn", "ln", "frozen_bn"))]
)
def test_every_model_and_norm_has_shapes_that_work(name: str, norm: str) -> None:
    with torch.device("meta"), torch.no_grad():
        model = detector(name, norm, workers=2)
        model(torch.zeros(2, 1, 96, 96))


def test_a_norm_with_one_value_is_found_on_shapes_alone() -> None:
    with (
        torch.device("meta"),
        torch.no_grad(),
        pytest.raises(ValueError, match="layer backbone.body.layer4.*one"),
    ):
        detector("thin_mask_rcnn", "in")(torch.zeros(2, 1, 16, 16))


@pytest.fixture(scope="module")
def pair() -> tuple[MaskRCNN, nn.Module]:
    """Ours and torchvision's with its weights: ResNet-18, BN in the backbone and no other norm.

    In float64: in float32 two orders of the same sums may choose other boxes, and then differ by more than rounding.
    """
    config = config_of(
        "mask_rcnn_r50_fpn", "block=basic", "blocks=[2,2,2,2]", "box_head=2fc", "freeze_at=0", "box_beta=0.1111111111",
        "rpn_pre_nms=[50,30]", "rpn_post_nms=[30,20]", "rois=16", "rpn_anchors=32", "detections=8",
    )  # fmt: skip
    ours = detector(config, "bn", **RGB, min_size=96, max_size=128)
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=5
    )
    theirs = TorchvisionMaskRCNN(
        backbone, num_classes=11, min_size=96, max_size=128, image_mean=[0.5] * 3, image_std=[0.25] * 3,
        rpn_pre_nms_top_n_train=50, rpn_pre_nms_top_n_test=30, rpn_post_nms_top_n_train=30,
        rpn_post_nms_top_n_test=20, box_batch_size_per_image=16, rpn_batch_size_per_image=32, box_detections_per_img=8,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    for name, value in theirs.state_dict().items():
        if "running_mean" in name or name.endswith("bias"):
            value.normal_(0, 0.1, generator=generator)
        elif "running_var" in name:
            value.uniform_(0.5, 2, generator=generator)
        elif "predictor" in name:  # else every score is the same
            value.mul_(20)
    assert set(ours.state_dict()) == set(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    return ours.double(), theirs.double()


def in_float64(
    image: torch.Tensor, target: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    return image.double(), {**target, "boxes": target["boxes"].double()}


def test_detections_are_torchvisions(pair: tuple[MaskRCNN, nn.Module]) -> None:
    images = [scene(3, channels=3)[0].double(), scene(4, channels=3)[0][:, :70, :60].double()]
    with torch.no_grad():
        found, expected = (model.eval()(images) for model in pair)
    assert len(found[0]["boxes"]) and len(found[1]["boxes"])
    for of_ours, of_theirs in zip(found, expected, strict=True):
        for name in ("boxes", "labels", "scores"):
            torch.testing.assert_close(of_ours[name], of_theirs[name], rtol=1e-9, atol=1e-9)
        masks = torch.stack(list(of_ours["masks"]))
        torch.testing.assert_close(masks, of_theirs["masks"], rtol=1e-9, atol=1e-9)


def test_losses_and_gradients_are_torchvisions(pair: tuple[MaskRCNN, nn.Module]) -> None:
    """With the samplers that ours has, and the box loss as torchvision has it; objectness's loss is of float32."""
    ours, theirs = pair
    theirs.rpn.fg_bg_sampler, theirs.roi_heads.fg_bg_sampler = (
        ours.rpn.fg_bg_sampler,
        ours.roi_heads.fg_bg_sampler,
    )
    scenes = [in_float64(*scene(seed, channels=3)) for seed in (0, 1)]
    gradients: list[dict[str, torch.Tensor]] = []
    values: list[dict[str, torch.Tensor]] = []
    for model in (ours, theirs):
        values.append(losses(model.train(), scenes, [0, 1]))  # type: ignore[arg-type]
        torch.stack(list(values[-1].values())).sum().backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert values[0].keys() == values[1].keys() and gradients[0].keys() == gradients[1].keys()
    for name, value in values[0].items():
        # Of float64 logits torchvision's loss of objectness is float32, as its labels are.
        torch.testing.assert_close(value, values[1][name], rtol=1e-6, atol=1e-6, check_dtype=False)
    for name, gradient in gradients[0].items():
        error = float((gradient - gradients[1][name]).norm() / gradients[1][name].norm())
        assert error < 1e-6, name


def test_the_forward_contract() -> None:
    """Images are resized, and what is found comes back at their own size."""
    model = detector("thin_mask_rcnn", "gn", *ALL_GN, min_size=64, max_size=100)
    small, (image, target) = scene(0, size=80), scene(1)
    wide = torch.cat([image, image.flip(2)[:, :, :32]], 2)
    large = (wide, {**target, "masks": nn.functional.pad(target["masks"], (0, 32))})
    found = losses(model, [small, large], [0, 1])
    assert {*found} == {
        *("loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg")
    }
    assert all(value.dim() == 0 and bool(value.isfinite()) for value in found.values())
    seen: list[torch.Size] = []
    model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    with torch.no_grad():
        detections = model.eval()([small[0], large[0]])
    assert seen == [torch.Size([2, 1, 64, 96])]  # 64 x 64, and 64 x 85 padded to a multiple of 32
    for (image, _), of_image in zip((small, large), detections, strict=True):
        num = len(of_image["boxes"])
        masks = torch.stack(list(of_image["masks"]))
        assert num and masks.shape == (num, 1, *image.shape[1:])
        assert float(masks.min()) >= 0 and float(masks.max()) <= 1
        assert int(of_image["labels"].min()) >= 1 and int(of_image["labels"].max()) <= 10
        assert of_image["scores"].shape == (num,)


@pytest.mark.parametrize("norm", ["gn", "ln", "frozen_bn", "bn"])
def test_an_image_does_not_depend_on_its_batch_mates_unless_the_norm_is_bn(norm: str) -> None:
    """In training mode and of equal size; the sampler's keys are the image's own, so its losses are too."""
    overrides = {"frozen_bn": ("box_norm=gn",), "bn": ("box_norm=bn",)}.get(
        norm, tuple(f"{place}_norm={norm}" for place in ("fpn", "box", "mask"))
    )
    model = detector("thin_mask_rcnn", norm, *overrides)
    if norm == "frozen_bn":  # with what a batch norm has learnt
        trained = detector("thin_mask_rcnn", "bn", "box_norm=gn")
        train_steps(trained, 5)
        model.load_state_dict(trained.state_dict())
    model.double()
    scenes = [in_float64(*scene(seed)) for seed in range(3)]
    with torch.no_grad():
        first, second = (
            model.backbone(torch.stack([scenes[0][0], scenes[mate][0]]))["0"][0] for mate in (1, 2)
        )
        alone, mate, both = (losses(model, scenes, indices) for indices in ([0], [1], [0, 1]))
    difference = float((first - second).abs().max() / first.std())
    gap = abs(float(both["loss_objectness"] - (alone["loss_objectness"] + mate["loss_objectness"]) / 2))
    if norm == "bn":
        assert difference > 0.01 and gap > 1e-4
    else:
        assert difference < 1e-9 and gap < 1e-6  # a loss is of float32


def test_masks_that_are_of_the_resized_images_size_already_train_the_same() -> None:
    """As the data set gives them; and of so many that they become floating point some at a time."""
    model = detector("thin_mask_rcnn", "gn", min_size=64, max_size=128)
    image, target = scene(0)
    size = resized_size(96, 80, 64, 128)
    rows, columns = (nearest_pixels(*sides) for sides in zip((96, 80), size, strict=True))
    many = {name: value.repeat(30, *[1] * (value.dim() - 1)) for name, value in target.items()}
    many["masks"] = many["masks"][:, :, :80]
    small = many | {"masks": many["masks"][:, rows][:, :, columns]}
    full, ready = (losses(model, [(image[:, :, :80], objects)], [0]) for objects in (many, small))
    assert small["masks"].shape[1:] == size == (76, 64)
    assert full == ready and float(full["loss_mask"].detach()) > 0


def test_the_mask_loss_is_torchvisions_whatever_comes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    targets = [scene(seed)[1] for seed in (0, 1)]
    matches = [torch.arange(20) % len(target["boxes"]) for target in targets]
    rois = [target["boxes"][own].double() for target, own in zip(targets, matches, strict=True)]
    logits = torch.randn(40, 11, 12, 12, generator=generator, dtype=torch.float64)
    masks, labels = ([target[name] for target in targets] for name in ("masks", "labels"))
    expected = roi_heads.maskrcnn_loss(logits, rois, masks, labels, matches)
    of_rois = torch.cat([own[match] for own, match in zip(labels, matches, strict=True)])
    for at_once in (1, 32):
        monkeypatch.setattr("gnexp.models.roi_heads._MASKS_AT_ONCE", at_once)
        torch.testing.assert_close(
            mask_loss(logits, rois, masks, of_rois, matches), expected, rtol=1e-12, atol=0
        )


def test_an_image_of_one_row_keeps_a_pixel() -> None:
    """Torchvision's transform fails on it: 1 x 4000 pixels at 128 would be 0 x 128."""
    model = detector("thin_mask_rcnn", "gn", min_size=64, max_size=128).eval()
    with torch.no_grad():
        (found,) = model([torch.rand(1, 1, 4000, generator=torch.Generator().manual_seed(0))])
    assert set(found) == {"boxes", "labels", "scores", "masks"}


def test_a_training_step_uses_no_global_randomness() -> None:
    model = detector("thin_mask_rcnn", "gn", min_size=96, max_size=128)
    torch.manual_seed(1)
    np.random.seed(1)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()
    train_steps(model)
    assert torch.equal(before, torch.get_rng_state())
    assert (numpys == np.random.get_state()[1]).all()


def test_initialisation_is_detectrons_and_the_backbone_a_classifiers() -> None:
    model = detector("mask_rcnn_r50_fpn", "gn", "blocks=[1,1,1,1]", *ALL_GN)
    expected = {
        "rpn.head.conv.0.0": 0.01,
        "rpn.head.bbox_pred": 0.01,
        "roi_heads.box_predictor.cls_score": 0.01,
        "roi_heads.box_predictor.bbox_pred": 0.001,
        "backbone.fpn.inner_blocks.0.0": (1 / 256) ** 0.5,  # Xavier
        "backbone.fpn.layer_blocks.3.0": (1 / (256 * 9)) ** 0.5,
        "roi_heads.box_head.5": (1 / (256 * 49)) ** 0.5,
        "roi_heads.box_head.0.0": (2 / (256 * 9)) ** 0.5,  # He
        "roi_heads.mask_head.3.0": (2 / (256 * 9)) ** 0.5,
        "roi_heads.mask_predictor.conv5_mask": (2 / (256 * 4)) ** 0.5,
    }
    for name, std in expected.items():
        assert float(model.get_submodule(name).weight.detach().std()) == pytest.approx(std, rel=0.03), name
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert parameter.unique().tolist() == [0.0], name
    # The same generator, hence the same backbone as a classifier's, gamma 0 in each block's last norm included.
    for name, norm in (("thin_mask_rcnn", "gn"), ("thin_mask_rcnn_c4", "bn")):
        ours = detector(name, norm, seed=3)
        generator = torch.Generator().manual_seed(3)
        run = COMPOSER.run(["model=thin_resnet", f"norm={norm}"])
        classifier = build_model(
            run.model, norm_factory(run.norm, 1), channels=1, num_classes=10, generator=generator
        )
        own = ours.state_dict()
        for key, value in ours.from_classifier(classifier.state_dict()).items():
            if key != "roi_heads.last_stage.0.conv1.weight":
                assert torch.equal(own[key], value), key


def test_anchors_are_exact_in_half_precision() -> None:
    images = ImageList(torch.zeros(1, 1, 1024, 1024), [(1024, 1024)])
    half, full = (
        Anchors(((32,),), ((1.0,),))(images, [torch.zeros(1, 8, 256, 256, dtype=dtype)])[0]
        for dtype in (torch.bfloat16, torch.float32)
    )
    assert half.dtype == torch.float32 and torch.equal(half, full)


def test_a_classifier_task_refuses_a_detector_and_the_other_way_round() -> None:
    with pytest.raises(ValueError, match="model=thin_mask_rcnn is a detector: it needs task.kind=detection"):
        build_model(
            config_of("thin_mask_rcnn"),
            None,
            channels=1,
            num_classes=10,
            generator=torch.Generator(),  # type: ignore[arg-type]
        )
    with pytest.raises(ValueError, match="model=thin_resnet is no detector"):
        detector(model_config(), "gn")
