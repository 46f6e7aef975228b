"""What a detector's backbone freezes, which norms stand where, and what frozen statistics compute."""

import itertools

import pytest
import torch

from gnexp.nn.batch_norm import BatchNormAct
from gnexp.nn.frozen_bn import FrozenBatchNormAct
from gnexp.nn.group_norm import GroupNormAct
from gnexp.nn.norm_act import NormAct
from gnexp.nn.statistics import batch_norms, with_precise_stats
from gnexp.nn.sync_batch_norm import SyncBatchNormAct
from tests.grids import thin
from tests.models.detection_cases import ALL_GN, THIN, detector, scene, train_steps


@pytest.mark.parametrize(
    ("norm", "overrides", "expected"),
    [
        ("frozen_bn", [], {"backbone.body": "frozen"}),
        ("frozen_bn", ["box_norm=gn"], {"backbone.body": "frozen", "roi_heads.box_head": "gn8"}),
        (
            "gn",
            ALL_GN,
            {
                "backbone.body": "gn8",
                "backbone.fpn": "gn8",
                "roi_heads.box_head": "gn8",
                "roi_heads.mask_head": "gn8",
            },
        ),
        (
            "bn",
            ["fpn_norm=ln", "mask_norm=bn"],
            {"backbone.body": "bn", "backbone.fpn": "gn1", "roi_heads.mask_head": "bn"},
        ),
        (
            "gn",
            ["fpn_norm=sync_bn", "box_norm=sync_bn", "mask_norm=gn"],
            {
                "backbone.body": "gn8",
                "backbone.fpn": "sync",
                "roi_heads.box_head": "sync",
                "roi_heads.mask_head": "gn8",
            },
        ),
        (
            "sync_bn",
            ["fpn_norm=sync_bn", "box_norm=sync_bn", "mask_norm=sync_bn"],
            dict.fromkeys(
                ("backbone.body", "backbone.fpn", "roi_heads.box_head", "roi_heads.mask_head"), "sync"
            ),
        ),
    ],
)
def test_norms_stand_where_they_are_asked_for(
    norm: str, overrides: list[str], expected: dict[str, str]
) -> None:
    model = detector("thin_mask_rcnn", norm, *overrides)
    counts = {"backbone.body": 12, "backbone.fpn": 6, "roi_heads.box_head": 4, "roi_heads.mask_head": 4}
    found: dict[str, list[NormAct]] = {}
    for name, module in model.named_modules():
        if isinstance(module, NormAct):
            assert module.name == name
            found.setdefault(".".join(name.split(".")[:2]), []).append(module)
    assert {place: {kind_of(norm) for norm in norms} for place, norms in found.items()} == {
        place: {kind} for place, kind in expected.items()
    }
    assert {place: len(norms) for place, norms in found.items()} == {
        place: counts[place] for place in expected
    }
    assert not any(norm.relu for norm in found.get("backbone.fpn", []))
    assert all(norm.relu for place, norms in found.items() if "head" in place for norm in norms)


def kind_of(norm: NormAct) -> str:
    if isinstance(norm, GroupNormAct):
        return f"gn{norm.num_groups}"
    return {BatchNormAct: "bn", FrozenBatchNormAct: "frozen", SyncBatchNormAct: "sync"}[type(norm)]  # type: ignore[index]


def test_where_there_is_no_norm_there_is_a_bias() -> None:
    plain, normed = (set(detector("thin_mask_rcnn", "gn", *o).state_dict()) for o in ((), ALL_GN))
    for place in ("backbone.fpn.inner_blocks.0", "roi_heads.box_head.3", "roi_heads.mask_head.3"):
        assert {f"{place}.0.bias"} == {key for key in plain - normed if key.startswith(place)}
        assert {f"{place}.1.weight", f"{place}.1.bias"} == {
            key for key in normed - plain if key.startswith(place)
        }


@pytest.mark.parametrize(
    ("name", "norm", "freeze_at"),
    thin([*itertools.product(THIN, ["bn", "gn", "ln", "frozen_bn"], [0, 2])], 3),
)
def test_what_is_frozen_stays_and_everything_else_moves(name: str, norm: str, freeze_at: int) -> None:
    """Forgetting it costs the paper's from-scratch detector 3.3 AP."""
    places = () if name.endswith("c4") else tuple(f"{p}_norm=gn" for p in ("fpn", "box", "mask"))
    model = detector(name, norm, f"freeze_at={freeze_at}", *places)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    train_steps(model)
    stayed = {key for key, value in model.state_dict().items() if torch.equal(value, before[key])}
    frozen = ("backbone.body.conv1.", "backbone.body.bn1.", "backbone.body.layer1.") if freeze_at else ()
    expected = {key for key in before if key.startswith(frozen)} if frozen else set()
    expected |= {key for key in before if key.endswith("num_batches_tracked")}
    if norm == "frozen_bn":
        norms = [n for n, m in model.named_modules() if isinstance(m, FrozenBatchNormAct)]
        expected |= {key for key in before if key.rpartition(".")[0] in norms}
    assert stayed == expected
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in model.named_parameters()} - expected


def test_frozen_statistics_give_what_the_trained_batch_norm_gives_in_evaluation() -> None:
    trained = detector("thin_mask_rcnn", "bn", "freeze_at=0", "box_norm=gn", workers=2)
    for norm in trained.modules():
        if isinstance(norm, BatchNormAct):
            norm.take_workers(slice(0, 1))
    train_steps(trained, 5)
    frozen = detector("thin_mask_rcnn", "frozen_bn", "box_norm=gn")
    frozen.load_state_dict(trained.state_dict())
    images = [scene(9)[0].double()]
    with torch.no_grad():
        expected, found = (model.double().eval()(images) for model in (trained, frozen))
    torch.testing.assert_close(found[0]["scores"], expected[0]["scores"], rtol=1e-9, atol=1e-9)


def test_precise_statistics_leave_frozen_ones_alone() -> None:
    backbone = detector("thin_mask_rcnn", "bn", "freeze_at=2").backbone
    images = torch.stack([scene(seed)[0] for seed in range(4)])
    precise = with_precise_stats(backbone, [(images, slice(0, 1))])
    is_same = [
        torch.equal(ours.running_mean, theirs.running_mean)
        for ours, theirs in zip(batch_norms(backbone), batch_norms(precise), strict=True)
    ]
    assert is_same == [True] * 3 + [False] * 9  # the stem's and two of the first stage
