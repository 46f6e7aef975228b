"""What the library's functions and modules are given is checked by them, in one line that names the argument."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import gnexp
from gnexp.config.fields import science_field
from gnexp.library.building import make_of
from gnexp.nn.kinds.constants import NormWithEps

SIZES = {
    gnexp.GroupNorm: {"num_groups": 2, "num_channels": 8},
    gnexp.GroupRMSNorm: {"num_groups": 2, "num_channels": 8},
    gnexp.EvoNormS0: {"num_groups": 2, "num_channels": 8},
    gnexp.LayerNorm2d: {"num_channels": 8},
    gnexp.FilterResponseNorm: {"num_channels": 8},
    gnexp.GhostBatchNorm: {"num_features": 8},
    gnexp.BatchRenorm: {"num_features": 8},
}
EPS = [math.inf, math.nan, -1e-5, True, "1e-5", None]
FLAGS = ["no", 1, None]
COUNTS = [0, -2, 2.0, True, "2", None]
BAD_EPS = r"^eps must be a finite number, not negative, such as 1e-5, got "
BAD_FLAG = " must be True or False, got "
BAD_COUNT = " must be a whole number, at least 1, got "


def refuses(said: str, call, *args, **given):
    with pytest.raises(ValueError, match=said) as caught:
        call(*args, **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cls", SIZES)
def test_a_module_refuses_what_it_cannot_compute_with(cls):
    sizes = SIZES[cls]
    for eps in EPS:
        refuses(BAD_EPS, cls, **sizes, eps=eps)
    for key in ("affine", "relu"):
        for value in FLAGS:
            refuses(f"^{key}{BAD_FLAG}", cls, **sizes, **{key: value})
    for key in sizes:
        for value in COUNTS:
            refuses(f"^{key}{BAD_COUNT}", cls, **{**sizes, key: value})


@pytest.mark.parametrize("cls", SIZES)
def test_what_numpy_counts_and_what_torch_allows_is_taken(cls):
    sizes = {key: np.int64(value) for key, value in SIZES[cls].items()}
    norm = cls(**sizes, eps=np.float32(1e-3))
    assert norm(torch.randn(2, 8, 3, 3)).isfinite().all()
    # In evaluation, since torch's batch norm trains with none of 0.
    assert cls(**SIZES[cls], eps=0).eval()(torch.randn(2, 8, 3, 3)).isfinite().all()


def test_the_arguments_that_some_modules_have():
    refuses(f"^bias{BAD_FLAG}'no'$", gnexp.GroupNorm, 2, 8, bias="no")
    for cls in (gnexp.GhostBatchNorm, gnexp.BatchRenorm):
        for momentum in (math.nan, -0.1, 2, "0.1", None):
            refuses("^momentum must be a number from 0 to 1, got ", cls, 8, momentum=momentum)
        refuses(f"^workers{BAD_COUNT}0$", cls, 8, workers=0)
        assert cls(8, momentum=0.0).momentum == 0
    for r_max in (math.nan, 0.5, "3"):
        refuses("^r_max must be a number at least 1, got ", gnexp.BatchRenorm, 8, r_max=r_max)
    for d_max in (math.nan, -1, None):
        refuses("^d_max must be a number at least 0, got ", gnexp.BatchRenorm, 8, d_max=d_max)
    unbounded = gnexp.BatchRenorm(8, r_max=math.inf, d_max=math.inf)
    assert unbounded(torch.randn(4, 8, 3, 3)).isfinite().all()


def test_the_op_refuses_what_it_cannot_compute_with():
    x = torch.randn(2, 8, 3)
    for eps in EPS:
        refuses(BAD_EPS, gnexp.group_norm, x, 2, eps=eps)
    for relu in FLAGS:
        refuses(f"^relu{BAD_FLAG}", gnexp.group_norm, x, 2, relu=relu)
    for num_groups in COUNTS:
        refuses(f"^num_groups{BAD_COUNT}", gnexp.group_norm, x, num_groups)
    for key in ("weight", "bias", "residual"):
        refuses(f"^{key} must be a torch.Tensor, got a float$", gnexp.group_norm, x, 2, **{key: 1.0})
    refuses("^x must be a torch.Tensor, got a NoneType$", gnexp.group_norm, None, 2)
    refuses("^x must be a torch.Tensor, got a list$", gnexp.group_norm, [x], 2)


@pytest.mark.parametrize("norm", ["gn", "ln", "gn_ws", "grms", "ln2d", "bn", "brn"])
def test_a_conversion_refuses_an_infinite_eps_and_changes_nothing(norm):
    model = nn.Sequential(nn.BatchNorm2d(64))
    for eps in EPS:
        refuses(BAD_EPS, gnexp.convert, model, norm, eps=eps)
    assert type(model[0]) is nn.BatchNorm2d


def test_a_conversion_refuses_a_strictness_that_is_neither_true_nor_false():
    model = nn.Sequential(nn.BatchNorm2d(64))
    for strict in FLAGS:
        for norm in ("gn", "bn"):
            refuses(f"^strict{BAD_FLAG}", gnexp.convert, model, norm, strict=strict)
    assert type(model[0]) is nn.BatchNorm2d


def test_a_constant_of_an_old_norm_that_cannot_be_names_the_layer():
    model = nn.Sequential(nn.BatchNorm2d(8, eps=math.inf))
    refuses("^layer 0: eps must be a finite number", gnexp.convert, model, "bn")


@dataclass(frozen=True, kw_only=True)
class PackageConfig(NormWithEps):
    """A norm as a package adds it: without a module, its options are its fields."""

    kind: str = science_field("of_a_package")
    is_odd: bool = science_field(False)
    order: int = science_field(1)
    slope: float | None = science_field(None)
    word: str = science_field("a")
    ends: tuple[float, ...] = science_field((0.0,))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("eps", math.inf, "a finite number, got inf"),
        ("eps", "1e-5", "a finite number, got '1e-5'"),
        ("eps", None, "a finite number, got None"),
        ("is_odd", "no", "True or False, got 'no'"),
        ("order", 1.5, "a whole number, got 1.5"),
        ("order", True, "a whole number, got True"),
        ("slope", math.nan, "a finite number, got nan"),
        ("word", 1, "a text, got 1"),
        ("ends", 1.0, "a list, each a finite number, got 1.0"),
        ("ends", (1.0, math.inf), r"a list, each a finite number, got \(1.0, inf\)"),
    ],
)
def test_an_option_of_a_packages_norm_has_its_fields_type(key, value, said):
    refuses(f"^{key} must be {said}$", make_of, "of_a_package", PackageConfig, None, {key: value})


def test_the_options_of_a_packages_norm_that_can_be_are_taken():
    given = {"eps": 1e-3, "is_odd": True, "order": 2, "slope": None, "word": "b", "ends": [0, 1]}
    assert callable(make_of("of_a_package", PackageConfig, None, given))
    assert {f.name for f in dataclasses.fields(PackageConfig)} == {*given, "kind"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"run": None}, "run must be a run's id, the start of it, its directory or its result, got None"),
        ({"run": ""}, "run must be a run's id, .*, got ''"),
        ({"run": 5}, "run must be a run's id, .*, got 5"),
        ({"run": "0", "runs_dir": None}, "runs_dir must be a folder's path, got None"),
        ({"run": "0", "device": "gpu0"}, "device must be one of torch's, such as cpu or cuda, got 'gpu0'"),
        ({"run": "0", "device": "cuda:99"}, "device must be one that this machine has, got 'cuda:99': .*"),
        ({"run": "0", "device": "hpu"}, "device must be one that this machine has, got 'hpu': .*"),
        ({"run": "0", "device": None}, "device must be one of torch's, such as cpu or cuda, got None"),
    ],
)
def test_load_refuses_what_names_no_run_folder_or_device(given, said):
    refuses(f"^{said}$", gnexp.load, **given)
