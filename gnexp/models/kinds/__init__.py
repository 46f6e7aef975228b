"""The kinds of networks: what model.kind may be, and where each one's fields and traits are declared. No torch."""

KINDS = {
    "resnet": "gnexp.models.kinds.resnet:ResNetConfig",
    "vgg": "gnexp.models.kinds.vgg:VGGConfig",
    "i3d": "gnexp.models.kinds.i3d:I3DConfig",
    "torchvision": "gnexp.models.kinds.torchvision:TorchvisionConfig",
    "timm": "gnexp.models.kinds.timm:TimmConfig",
    "mask_rcnn": "gnexp.models.kinds.mask_rcnn:MaskRCNNConfig",
}
