"""The kinds of norms: what norm.kind may be, and where each one's fields and traits are declared. No torch."""

KINDS = {
    "gn": "gnexp.nn.kinds.group_norm:GroupNormConfig",
    "gn_ws": "gnexp.nn.kinds.group_norm:StandardizedGroupNormConfig",
    "bn": "gnexp.nn.kinds.batch_norm:BatchNormConfig",
    "sync_bn": "gnexp.nn.kinds.sync_batch_norm:SyncBatchNormConfig",
    "brn": "gnexp.nn.kinds.batch_renorm:BatchRenormConfig",
    "frozen_bn": "gnexp.nn.kinds.frozen_bn:FrozenBatchNormConfig",
    "frn": "gnexp.nn.kinds.rms_norm:FilterResponseNormConfig",
    "evonorm_s0": "gnexp.nn.kinds.evonorm:EvoNormS0Config",
    "ln2d": "gnexp.nn.kinds.channel_layer_norm:ChannelLayerNormConfig",
    "grms": "gnexp.nn.kinds.rms_norm:GroupRMSNormConfig",
    "none": "gnexp.nn.kinds.no_norm:NoNormConfig",
}
