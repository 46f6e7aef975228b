"""The package of docs/adding.md, word for word, as pip would have installed it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "adding.md"
FOLDER = "my-norms"


def write_sources(folder: Path) -> Path:
    """Its files under a folder; returns the project's."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(rf"^```\w+\n# {FOLDER}/(\S+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    for name, content in blocks:
        path = folder / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder / FOLDER


def write_installed(folder: Path) -> Path:
    """Its sources and the metadata that pip writes, without pip's seconds: a folder for PYTHONPATH."""
    project = write_sources(folder)
    values = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for group, points in values["entry-points"].items():
        write_metadata(project, values["name"], points, version=values["version"], group=group)
    return project


def write_metadata(
    site: Path, name: str, points: dict[str, str], *, version: str = "1", group: str = "gnexp.norms"
) -> None:
    """What tells importlib.metadata of a package with these entry points."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(head, encoding="utf-8")
    lines = [f"[{group}]", *(f"{key} = {value}" for key, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
