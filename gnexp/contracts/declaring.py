"""What a norm says of itself, and that a run takes it: names, builder, identity, two steps of training."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math

import torch

from gnexp.compose.composer import Composer
from gnexp.config import NormConfig, RunConfig, from_dict, to_dict
from gnexp.config.fields import require_name
from gnexp.config.kinds import offers, own_classes
from gnexp.config.packages import check_class
from gnexp.contracts.cases import CHANNELS
from gnexp.engine.state import build
from gnexp.engine.train import StepRecord, train
from gnexp.nn.norm_act import NormAct
from gnexp.nn.norms import norm_factory


@functools.cache
def smoke_run(*overrides: str) -> RunConfig:
    """A run of seconds."""
    return Composer().run(["scale=smoke", "batch=4", *overrides])


def declares_what_gnexp_reads(config: NormConfig) -> None:
    """The checks of an entry point, for gnexp's own norms too."""
    others = {**own_classes(NormConfig.group), **offers().classes}
    others.pop(config.kind, None)
    check_class(config.kind, type(config), others)
    require_name("label", config.label)  # part of a folder's name
    assert config.word in config.names, f"the word {config.word!r} has no name in tables and figures"


def its_builder_gives_layers(config: NormConfig) -> None:
    """The factory is called as models call it: ReLU follows unless they say otherwise."""
    factory = norm_factory(config, 1)
    for norm, relu in ((factory(CHANNELS), True), (factory(CHANNELS, relu=False), False)):
        assert isinstance(norm, NormAct), f"the factory must give a NormAct, got {type(norm).__name__}"
        assert (norm.channels, norm.relu) == (CHANNELS, relu), "the layer does not know its channels and ReLU"


def is_a_runs_identity(config: NormConfig) -> None:
    """A run with it goes through JSON, as in a spec, and stays itself."""
    run = dataclasses.replace(smoke_run(), norm=config)
    again = from_dict(json.loads(json.dumps(to_dict(run))))
    assert again == run and again.run_id == run.run_id, "a run read from its spec is another run"


def stands_at_a_site(config: NormConfig) -> None:
    """A word for a site beside a detector's backbone gives this kind."""
    for word in type(config).site_words:
        found = type(config).at_site(word, config, 2)
        assert isinstance(found, type(config)), f"the word {word!r} gives a {type(found).__name__}"


def trains(config: NormConfig) -> None:
    """Two steps of a network in both layouts, of which the first and the last parameter change."""
    for layout in ("contiguous", "channels_last"):
        run = dataclasses.replace(smoke_run(f"memory_format={layout}", "threads=1"), norm=config)
        state = build(run, torch.device("cpu"))
        before = {name: value.clone() for name, value in state.model.named_parameters()}
        steps = (record for record in train(state) if isinstance(record, StepRecord))
        for record in itertools.islice(steps, 2):
            assert math.isfinite(record.loss), f"the loss is {record.loss}"
        after = {name: value for name, value in state.model.named_parameters() if value.requires_grad}
        for name in (next(iter(after)), next(reversed(after))):
            assert not torch.equal(after[name], before[name]), f"{name} has not trained"
