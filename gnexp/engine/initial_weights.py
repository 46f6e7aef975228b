"""The weights that a run starts from where its config names some: a finished run's, or any file's of weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from gnexp.config import RunConfig
from gnexp.engine.weight_files import Weights, read_weights
from gnexp.nn.batch_renorm import BatchRenormAct
from gnexp.nn.frozen_bn import FrozenBatchNormAct
from gnexp.nn.statistics import batch_norms

# Counters that say nothing about the weights: a file may lack them, and may have one that a model does without.
_COUNTERS = ("num_batches_tracked", "done_epochs", "n_averaged")
# What wrappers and larger modules put before every name: DistributedDataParallel and AveragedModel, torch.compile, a
# module that holds the network.
_FIRST = "conv1.weight"  # of a ResNet, by torchvision's names
_LISTED = 6  # names in a line about many
_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")


@runtime_checkable
class Detector(Protocol):
    """A model whose backbone is a classifier without its last layer."""

    classifier_prefixes: tuple[str, ...]  # of what it has of a classifier

    def from_classifier(self, weights: Mapping[str, torch.Tensor]) -> Weights:
        """A classifier's weights under the names that they have here, without its last layer."""
        ...


@runtime_checkable
class VideoNetwork(Protocol):
    """A model that a network of images can be inflated to."""

    def from_images(self, weights: Mapping[str, torch.Tensor]) -> Weights | None:
        """The weights of a network of images as they are here; None where they are a network of videos' already."""
        ...


class MismatchError(ValueError):
    """Weights of another model.

    Args:
        message: in one line.
        lines: the same where there is room: what is missing and what is too many in a line each.
    """

    def __init__(self, message: str, lines: tuple[str, ...]) -> None:
        super().__init__(message)
        self.lines = lines


def load_initial_weights(
    model: nn.Module, run: RunConfig, device: torch.device, *, first_worker: int = 0, whole: bool = False
) -> list[str]:
    """Gives a model the weights of run.init_path; nothing in the file is executed.

    Running statistics of one worker, (C,), serve all. Those of as many workers as the run has stay each worker's own;
    of another number of workers, worker 0's serve all. A classifier of another shape keeps its initialisation, and so
    does what a detector has beside its backbone where the weights are a classifier's, and the classifier of a network
    of videos where they are a network's of images. Of weights for other pixels (run.init_layout) the first convolution
    is folded, so that it gives on normalized RGB what it gave on those.

    Args:
        model: built and initialised, with the running statistics of this process's own workers.
        run: its init and init_path say what is loaded.
        device: where the weights are read to.
        first_worker: of this process.
        whole: nothing may keep its initialisation, since the model is to be used as it is.

    Returns:
        What a person should know: a line for each thing that was not taken as it is.

    Raises:
        ValueError: the file is missing, damaged, or not the one that init names.
        MismatchError: its weights are another model's.
    """
    assert run.init is not None and run.init_path is not None, "only a run with init has weights to load"
    weights, notes = read_weights(Path(run.init_path), run.init, device)
    weights = _without_prefix(model, weights, notes)
    if run.init_layout is not None:
        _fold_pixels(weights, run, notes)
    backbone = _as_backbone(model, weights)
    inflated = model.from_images(weights) if isinstance(model, VideoNetwork) else None
    if backbone is not None:
        weights = backbone
    elif inflated is not None:
        weights = inflated
        notes.append("inflated from a network of images; the classifier keeps its initialisation")
    elif not isinstance(model, Detector) and not whole:
        _keep_other_head(model, weights, notes)
    _take_variances(model, weights)
    _choose_workers(model, weights, run.workers, first_worker, notes)
    if backbone is not None and not whole:
        _keep_own_layers(model, weights, notes)
    _check_fit(model, weights, run.init_path)
    model.load_state_dict({**model.state_dict(), **weights})
    return [f"init: {note}" for note in notes]


def _without_prefix(model: nn.Module, weights: Weights, notes: list[str]) -> Weights:
    """Takes off what stands before the name of every tensor, unless the model has such names itself."""
    own, taken = model.state_dict().keys(), ""
    while True:
        names = [
            key for key in weights if not key.endswith(_COUNTERS)
        ]  # a wrapper's own counter has no prefix
        prefix = next((p for p in _PREFIXES if all(name.startswith(p) for name in names)), None)
        if prefix is None or not names or not own.isdisjoint(names):
            break
        weights = {key.removeprefix(prefix): value for key, value in weights.items()}
        taken += prefix
    if taken:
        notes.append(f"the names of the file's tensors start with {taken}, which is taken off")
    return weights


def _fold_pixels(weights: Weights, run: RunConfig, notes: list[str]) -> None:
    """Has the first convolution take red, green, blue divided by data.std in the place of 255 blue, green, red.

    The mean is data.mean's, which the run has from the layout: folded into a bias it would be wrong at padded borders.
    """
    first = weights.get(_FIRST)
    if first is None or first.dim() != 4 or first.shape[1] != 3:
        return  # another model's: what is missing is said then
    std = torch.tensor(run.data.std, dtype=torch.float64, device=first.device).view(1, 3, 1, 1)
    weights[_FIRST] = (first.double().flip(1) * (255 * std)).to(first.dtype)
    notes.append(
        f"the file is for pixels of 0 to 255 in BGR ({run.init_layout}): its first convolution is folded for "
        "normalized RGB, and data.mean is the file's"
    )


def _keep_other_head(model: nn.Module, weights: Weights, notes: list[str]) -> None:
    """Leaves out a classifier of another shape, which was made for other classes; a file may have none at all."""
    name = next((n for n, m in reversed(list(model.named_modules())) if isinstance(m, nn.Linear)), None)
    if name is None:
        return
    theirs = weights.get(f"{name}.weight")
    own = model.get_submodule(name).weight
    assert isinstance(own, torch.Tensor)
    initial = {key: value for key, value in model.state_dict().items() if key.startswith(f"{name}.")}
    if theirs is None and initial.keys().isdisjoint(weights):
        weights |= initial
        notes.append(f"the classifier {name} keeps its initialisation: the file has none")
    elif theirs is not None and theirs.shape != own.shape:
        weights |= initial
        notes.append(
            f"the classifier {name} keeps its initialisation: it is {tuple(own.shape)}, "
            f"the file's {tuple(theirs.shape)}"
        )


def _as_backbone(model: nn.Module, weights: Weights) -> Weights | None:
    """A classifier's weights as a detector names its backbone's; None for another model, or a detector's weights."""
    if not isinstance(model, Detector) or any(key.startswith(model.classifier_prefixes) for key in weights):
        return None
    return model.from_classifier(weights)


def _keep_own_layers(model: nn.Module, weights: Weights, notes: list[str]) -> None:
    """Completes a backbone's weights by the initialisation of what a classifier does not have."""
    assert isinstance(model, Detector)
    own = {
        key: value
        for key, value in model.state_dict().items()
        if not key.startswith(model.classifier_prefixes)
    }
    weights |= own
    notes.append(
        "the backbone starts from a classifier's weights, without their last layer; the detector's other "
        f"{len(own)} tensors keep their initialisation"
    )


def _take_variances(model: nn.Module, weights: Weights) -> None:
    """Makes the running std of batch renormalization from variances, as an export or batch norm has them."""
    for prefix, module in model.named_modules():
        if isinstance(module, BatchRenormAct) and f"{prefix}.running_std" not in weights:
            variance = weights.pop(f"{prefix}.running_var", None)
            if variance is not None:
                weights[f"{prefix}.running_std"] = (variance + module.eps).sqrt()


def _choose_workers(
    model: nn.Module, weights: Weights, workers: int, first_worker: int, notes: list[str]
) -> None:
    """Makes the running statistics this process's own workers', (V, C).

    Worker 0's serve every worker where a layer is frozen, as in evaluation: else what an image goes through would hang
    on which process holds its worker.
    """
    others: set[int] = set()
    norms = {id(norm) for norm in batch_norms(model)}
    for prefix, module in model.named_modules():
        is_frozen = isinstance(module, FrozenBatchNormAct)
        trains = not is_frozen and any(
            parameter.requires_grad for parameter in module.parameters(recurse=False)
        )
        if id(module) not in norms and not is_frozen:
            continue
        for name, own in module.named_buffers(prefix=prefix, recurse=False):
            theirs = weights.get(name)
            if own.dim() == 1 and theirs is not None and theirs.dim() == 2:  # one set serves all
                others |= {len(theirs)} - {1}
                theirs = weights[name] = theirs[0]
            if own.dim() != 2 or theirs is None or theirs.dim() not in (1, 2):
                continue
            if theirs.dim() == 2 and len(theirs) == workers and trains:
                weights[name] = theirs[first_worker : first_worker + len(own)]
                continue
            if theirs.dim() == 2:
                others |= {len(theirs)} - {workers}
                theirs = theirs[0]
            if theirs.shape == own.shape[1:]:
                weights[name] = theirs.expand(own.shape)
    for number in sorted(others):
        notes.append(f"the weights have statistics of {number} workers; worker 0's serve all {workers}")


def _check_fit(model: nn.Module, weights: Weights, path: str) -> None:
    own = model.state_dict()
    for key in [key for key in weights if key.endswith(_COUNTERS) and key not in own]:
        del weights[key]
    missing = [key for key in own if key not in weights and not key.endswith(_COUNTERS)]
    foreign = [key for key in weights if key not in own]
    misshaped = [key for key in own if key in weights and own[key].shape != weights[key].shape]
    if missing or foreign or misshaped:
        parts = [
            f"{len(keys)} {what} (the first is {keys[0]}{_shapes(own, weights, keys[0])})"
            for keys, what in (
                (missing, "of the model's are not in the file"),
                (foreign, "of the file's are not in the model"),
                (misshaped, "have other shapes"),
            )
            if keys
        ]
        fix = "choose the model and norm that they were made with"
        lines = [f"{path} must hold the weights of this model, of {len(own)} tensors; {fix}"]
        lines += [_listed("missing", missing), _listed("too many", foreign)]
        if misshaped:
            lines[0] = f"{path} must hold the weights of this model, of {len(own)} tensors {parts[-1]}; {fix}"
        raise MismatchError(
            f"{path} must hold the weights of this model, of {len(own)} tensors {', '.join(parts)}; {fix}",
            tuple(lines) if missing or foreign else (),
        )


def _listed(what: str, keys: list[str]) -> str:
    named = ", ".join(keys[:_LISTED]) + (", ..." if len(keys) > _LISTED else "")
    return f"  {what}: {len(keys)}" + (f" ({named})" if keys else "")


def _shapes(own: Weights, theirs: Weights, key: str) -> str:
    """Both shapes of a tensor that both have: of the number of channels a name says nothing."""
    if key not in own or key not in theirs:
        return ""
    return f", {tuple(own[key].shape)} in the model and {tuple(theirs[key].shape)} in the file"
