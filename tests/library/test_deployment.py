"""That a file of a converted network is read without gnexp, in the ways that docs/library.md names."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import resnet18
from torchvision.models.feature_extraction import create_feature_extractor

import gnexp

TRACED = ["gn", "ln", "in", "gn_ws", "bn", "brn", "none"]
EXPORTED = ["bn", "brn", "none", "grms", "ln2d", "frn", "evonorm_s0"]
IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
READER = """if True:
    import sys, torch
    torch.set_grad_enabled(False)
    images, expected = torch.load("cases.pt")
    for name, y in expected.items():
        file = f"{name}.pt2"
        read = torch.export.load(file).module() if name.startswith("exported") else torch.jit.load(file)
        torch.testing.assert_close(read(images), y, msg=name)
    assert "gnexp" not in sys.modules
    print(len(expected))
"""


def converted(norm: str) -> nn.Module:
    norms = [gnexp.GroupNorm(8, 64, relu=True) for _ in range(2)]  # with an activation, so that frn can be
    return gnexp.convert(
        nn.Sequential(nn.Conv2d(3, 64, 3), norms[0], nn.Conv2d(64, 64, 3), norms[1]), norm
    ).eval()


def said_by(code: str, folder: Path) -> str:
    """What a fresh Python in a folder prints; its errors where it fails."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else done.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:.*torch.jit:FutureWarning",
    "ignore:.*torch.jit:DeprecationWarning",
    "ignore::torch.jit.TracerWarning",
)
def test_a_file_is_read_without_gnexp(tmp_path):
    expected = {}
    with torch.no_grad():
        for norm in TRACED:
            model = converted(norm)
            expected[f"traced_{norm}"] = model(IMAGES)
            torch.jit.trace(model, IMAGES).save(tmp_path / f"traced_{norm}.pt2")
        for norm in EXPORTED:
            model = converted(norm)
            expected[f"exported_{norm}"] = model(IMAGES)
            torch.export.save(torch.export.export(model, (IMAGES,)), tmp_path / f"exported_{norm}.pt2")
    for norm in ("gn", "gn_ws"):  # a copy with torch's own layers
        model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64))
        model = gnexp.convert(model, norm).eval()
        expected[f"exported_plain_{norm}"] = model(IMAGES).detach()
        model[1].__class__ = nn.GroupNorm
        torch.export.save(torch.export.export(model, (IMAGES,)), tmp_path / f"exported_plain_{norm}.pt2")
    torch.save((IMAGES, expected), tmp_path / "cases.pt")
    assert said_by(READER, tmp_path) == f"{len(expected)}\n"


@pytest.mark.parametrize("norm", sorted({*TRACED, *EXPORTED} - {"frn", "evonorm_s0"}))
def test_an_extractor_is_converted(norm):
    extractor = gnexp.convert(create_feature_extractor(resnet18(), ["layer2"]), norm)
    assert extractor(IMAGES)["layer2"].shape == (2, 128, 2, 2)


@pytest.mark.slow
def test_a_file_of_group_norm_is_read_after_naming_its_operator(tmp_path):
    program = torch.export.export(converted("gn"), (IMAGES,))
    torch.export.save(program, tmp_path / "gn.pt2")
    reader = "import torch, gnexp; gnexp.group_norm; torch.export.load('gn.pt2'); print('read')"
    assert said_by(reader, tmp_path) == "read\n"
