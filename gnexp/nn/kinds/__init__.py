"""The kinds of norms: what norm.kind may be, and where each one's fields and traits are declared. No torch."""

KINDS = {
    "gn": "gnexp.nn.kinds.group_norm:GroupNormConfig",
    "bn": "gnexp.nn.kinds.batch_norm:BatchNormConfig",
    "sync_bn": "gnexp.nn.kinds.sync_batch_norm:SyncBatchNormConfig",
    "brn": "gnexp.nn.kinds.batch_renorm:BatchRenormConfig",
    "frozen_bn": "gnexp.nn.kinds.frozen_bn:FrozenBatchNormConfig",
    "none": "gnexp.nn.kinds.no_norm:NoNormConfig",
}
