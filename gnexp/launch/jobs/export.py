"""Writes a finished run's weights for other code: `export SPEC FORMAT STATS OUTPUT`; prints how to load them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch

from gnexp.engine.evaluate import precise_model
from gnexp.engine.export import export_weights, torchvision_constructor
from gnexp.experiments.finished import final_weights, finished_state, read_classes
from gnexp.experiments.run import set_threads
from gnexp.runs.spec import Spec, load_spec
from gnexp.system.files import write_bytes, write_json


def main(words: list[str]) -> int:
    """Exports one run.

    Raises:
        ValueError: a run without final weights, or a format that cannot hold them.
    """
    spec_path, file_format, eval_stats, output = words
    spec = load_spec(Path(spec_path))
    constructor = _constructor(spec, file_format)
    if not spec.run.norm.has_running_stats:
        eval_stats = "none"
    path = Path(output) if output else _default_path(spec, file_format, eval_stats)
    weights = _weights(spec, eval_stats)
    about = {"run_id": spec.run.run_id, "norm": spec.run.norm.label, "eval_stats": eval_stats}
    classes = read_classes(spec.directory)
    if file_format == "safetensors":
        _write_safetensors(path, weights, about | {key: json.dumps(value) for key, value in classes.items()})
        load = [f"weights = safetensors.torch.load_file({str(path)!r})"]
    else:
        buffer = io.BytesIO()
        torch.save(weights, buffer)
        write_bytes(path, buffer.getvalue())
        write_json(
            path.with_name(f"{path.name}.json"), about | classes
        )  # a plain state_dict has no place for it
        load = [f"weights = torch.load({str(path)!r}, weights_only=True)"]
    modules = ["torch", "torchvision"] if constructor else []
    modules += ["safetensors.torch"] if file_format == "safetensors" else []
    print(f"# {path}: {', '.join(f'{key} {value}' for key, value in about.items())}")
    print("\n".join([f"import {', '.join(modules)}", *load]))
    if constructor:
        print(f"model = {constructor}\nmodel.load_state_dict(weights)")
    return 0


def _constructor(spec: Spec, file_format: str) -> str | None:
    """What builds the network in torchvision; None where it has none and the format does without."""
    try:
        return torchvision_constructor(spec.run)
    except ValueError:
        if file_format == "torchvision":
            raise
        return None


def _default_path(spec: Spec, file_format: str, eval_stats: str) -> Path:
    suffix = "safetensors" if file_format == "safetensors" else "pt"
    return spec.directory.export(None if eval_stats == "none" else eval_stats, suffix)


def _weights(spec: Spec, eval_stats: str) -> dict[str, torch.Tensor]:
    if eval_stats == "precise":
        set_threads(spec.run)
        model = precise_model(finished_state(spec), epoch=spec.run.recipe.epochs)
        weights = {key: value.cpu() for key, value in model.state_dict().items()}
    else:
        weights = final_weights(spec, torch.device("cpu"))
    return export_weights(weights, spec.run.norm, "mean" if eval_stats == "mean" else "worker0")


def _write_safetensors(path: Path, weights: dict[str, torch.Tensor], about: dict[str, str]) -> None:
    try:
        from safetensors.torch import save
    except ModuleNotFoundError:
        raise ValueError(
            "format=safetensors needs the package safetensors: pip install 'gnexp[export]'"
        ) from None
    write_bytes(path, save(weights, metadata=about))
