"""The kinds of data: what data.kind may be, and where each one's fields and traits are declared. No torch."""

KINDS = {
    "cifar10": "gnexp.data.kinds.downloaded:Cifar10Config",
    "coco": "gnexp.data.kinds.coco:CocoConfig",
    "eurosat": "gnexp.data.kinds.eurosat:EuroSatConfig",
    "fashion": "gnexp.data.kinds.fashion:FashionConfig",
    "fashion_clips": "gnexp.data.kinds.fashion_clips:FashionClipsConfig",
    "fashion_coco": "gnexp.data.kinds.fashion_coco:FashionCocoConfig",
    "fashion_mnist": "gnexp.data.kinds.downloaded:FashionMnistConfig",
    "fashion_scenes": "gnexp.data.kinds.fashion:FashionScenesConfig",
    "imagefolder": "gnexp.data.kinds.imagefolder:ImageFolderConfig",
    "kinetics": "gnexp.data.kinds.kinetics:KineticsConfig",
}
