"""The kinds of networks: what model.kind may be, and where each one's fields and traits are declared. No torch."""

KINDS = {
    "resnet": "gnexp.models.kinds.resnet:ResNetConfig",
    "vgg": "gnexp.models.kinds.vgg:VGGConfig",
    "i3d": "gnexp.models.kinds.i3d:I3DConfig",
    "mask_rcnn": "gnexp.models.kinds.mask_rcnn:MaskRCNNConfig",
}
