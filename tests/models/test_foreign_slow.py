"""Every classifier of torchvision, and a network of each of twenty families of timm's, at the size it is made for."""

from itertools import islice

import pytest
import torch
import torchvision

from gnexp.engine.cost import count_cost
from gnexp.engine.state import build, check_shapes
from gnexp.engine.train import train
from gnexp.nn.norm_act import NormAct
from gnexp.tasks.build import build_task
from tests.composing import COMPOSER

pytestmark = pytest.mark.slow
# Without a norm on maps, by their first word.
NORMLESS = ("alexnet", "squeezenet1_0", "squeezenet1_1", "vgg11", "vgg13", "vgg16", "vgg19", "vit")
TIMM = (
    "convnextv2_atto", "cspresnet50", "darknet53", "densenet121", "dla34", "dpn68", "edgenext_xx_small",
    "efficientnet_b0", "fastvit_t8", "ghostnet_100", "hrnet_w18_small", "inception_v3", "mobilenetv4_conv_small",
    "mobileone_s0", "regnety_002", "repvgg_a0", "res2net50_26w_4s", "resnest14d", "rexnet_100", "seresnet18",
    "skresnet18", "vovnet39a", "xception41",
)  # fmt: skip
REFUSED = {
    "convnextv2_atto": r"layer stages\.0\.blocks\.0\.mlp\.grn is GlobalResponseNorm, and batch norms and layer norms",
    "ghostnet_100": r"its aten\.bernoulli_ draws from torch's global generator in training",
}
NETWORKS = [("torchvision", arch) for arch in torchvision.models.list_models(module=torchvision.models)]
NETWORKS += [("timm", arch) for arch in TIMM]
_FEW = 30e6  # parameters of a network that takes a step; of a larger one the shapes are enough


@pytest.mark.parametrize(("package", "arch"), NETWORKS)
@pytest.mark.parametrize("norm", ["gn", "bn"])
def test_every_family_takes_the_runs_norm(package: str, arch: str, norm: str) -> None:
    words = [f"model={package}", f"model.arch={arch}", f"norm={norm}", "scale=smoke", "batch=2", "workers=2"]
    size = 299 if arch.startswith("inception") else 224
    words += [f"data.image_size={size}", "data.num_train=4", "data.num_val=2", "data.sha256=null"]
    run = COMPOSER.run(words)
    if arch in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[arch]):
            check_shapes(run, build_task(run.task))
        return
    if package == "torchvision" and arch.startswith(NORMLESS) and not arch.endswith("_bn"):
        with pytest.raises(ValueError, match=r"it has no norm to replace"):
            check_shapes(run, build_task(run.task))
        return
    check_shapes(run, build_task(run.task))
    if count_cost(run).parameters > _FEW:
        return
    state = build(run, torch.device("cpu"))
    before = torch.random.get_rng_state()
    assert len(list(islice(train(state), 1))) == 1
    assert torch.equal(before, torch.random.get_rng_state())
    assert any(isinstance(module, NormAct) for module in state.model.modules())
