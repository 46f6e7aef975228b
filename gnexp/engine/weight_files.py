"""Reads the weights that others have saved: torch's files, safetensors and Detectron's; nothing in them is executed."""

from __future__ import annotations

import argparse
import hashlib
import io
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gnexp.config.fields import FILE_HASH
from gnexp.config.layouts import HEAD, is_pickled_arrays
from gnexp.engine.pickled_arrays import read_arrays

Weights = dict[str, torch.Tensor]

# Where files that hold more than weights keep them.
_NESTED = ("model", "state_dict", "model_state_dict")
# Torchvision's training scripts save their command line beside the weights. A Namespace is a bag of values: it has no
# code that unpickling would run, what is in it passes the same check, and nobody here reads it.
_HARMLESS = (argparse.Namespace,)


def read_weights(path: Path, named: str | None, device: torch.device) -> tuple[Weights, list[str]]:
    """The weights in a file: .safetensors, a plain state_dict as torchvision saves one, or a run's weights.pt.

    A training checkpoint holds a state_dict among other things, which are left out. Detectron's .pkl come under
    torchvision's names.

    Args:
        path: of the file.
        named: what it must be: a run_id, or sha256:HEX; None = whatever it is.
        device: where the weights are read to.

    Returns:
        The weights, and what a person should know of where they were.

    Raises:
        ValueError: the file is missing, damaged, holds more than tensors and plain values, or is not the named one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"init_path={path} cannot be read ({error.strerror}); give init=PATH again"
        ) from None
    if named is not None and named.startswith(FILE_HASH):
        found = FILE_HASH + hashlib.sha256(content).hexdigest()
        if found != named:
            raise ValueError(
                f"{path} must be the file with {named}, got {found}: it has changed; bring the old one back, "
                "or start a new run from it with init=PATH"
            )
    try:
        values = _read(content, path.suffix, device)
    except ModuleNotFoundError:
        raise ValueError(f"{path} needs the package safetensors: pip install 'gnexp[export]'") from None
    except Exception as error:  # whatever damage or a file of another kind makes of a parser
        raise ValueError(f"{path} cannot be read as weights{_reason(error)}") from None
    if named is not None and not named.startswith(FILE_HASH) and isinstance(values, dict):
        found = values.get("run_id", named)  # files of gnexp 0.1 do not say
        if found != named:
            raise ValueError(f"{path} must hold the weights of run {named}, it holds those of {found}")
    return _tensors(values, path)


def _read(content: bytes, suffix: str, device: torch.device) -> Any:
    if suffix == ".safetensors":
        from safetensors.torch import load

        return {key: value.to(device) for key, value in load(content).items()}
    if is_pickled_arrays(suffix, content[:HEAD]):
        return {key: torch.from_numpy(value).to(device) for key, value in read_arrays(content).items()}
    with torch.serialization.safe_globals(list(_HARMLESS)):
        return torch.load(io.BytesIO(content), map_location=device, weights_only=True)


def _reason(error: Exception) -> str:
    """What is wrong in one line of ours: torch's own advises to read the file without its check."""
    text = str(error)
    if not isinstance(error, pickle.UnpicklingError):
        return f" ({type(error).__name__}: {(text.splitlines() or [''])[0]})"
    if refused := re.search(r"GLOBAL ([\w.]+)", text):
        return (
            f": it holds a {refused[1]}, which could run code, and not tensors alone; load it where it was saved, "
            "save its weights with torch.save(model.state_dict(), PATH), and give init=PATH"
        )
    detail = re.search(r"WeightsUnpickler error: (.*)", text)
    return f": it is damaged, or no file of torch.save's ({detail[1].strip() if detail else 'no pickle'})"


def _tensors(values: Any, path: Path) -> tuple[Weights, list[str]]:
    notes: list[str] = []
    for key in _NESTED:
        if isinstance(values, Mapping) and isinstance(values.get(key), Mapping):
            others = [str(name) for name in values if name not in (key, "run_id", "format")]
            if others:
                notes.append(
                    f"the weights are the file's {key}; what else it holds ({', '.join(others)}) is left out"
                )
            values = values[key]
            break
    if not isinstance(values, Mapping) or not values:
        raise ValueError(f"{path} must hold a state_dict, got {type(values).__name__}")
    odd = next((key for key, value in values.items() if not isinstance(value, torch.Tensor)), None)
    if odd is not None:
        raise ValueError(f"{path} must hold tensors alone, {odd} is {type(values[odd]).__name__}")
    return dict(values), notes
