"""A norm's colour and marker: its own, the same in every figure, and told apart by everyone who sees them."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from gnexp.config.kinds import classes_of
from gnexp.config.norm import NormName
from gnexp.report.render import figures
from gnexp.report.render.figures import GRID, HUES, INK, MUTED, PAPER, STYLES, _style
from gnexp.report.render.plots import Line

TEMPLATE = Path(figures.__file__).parent / "templates" / "report.html.jinja"
NAMES: dict[str, NormName] = {
    label: name for cls in classes_of("norm").values() for label, name in cls.names.items()
}
# What eyes without the pigment for red or for green make of linear RGB (Machado et al. 2009, severity 1).
EYES = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    """Of WCAG 2."""
    low, high = sorted(float(linear(colour) @ _TO_XYZ[1]) for colour in (first, second))
    return (high + 0.05) / (low + 0.05)


def distance(first: str, second: str, eyes: np.ndarray) -> float:
    """In CIELAB, where 2.3 can just be noticed side by side."""
    labs = []
    for colour in (first, second):
        x = _TO_XYZ @ np.clip(eyes @ linear(colour), 0, 1) / (0.9505, 1.0, 1.089)
        f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
        labs.append(np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])]))
    return float(np.linalg.norm(labs[0] - labs[1]))


def test_no_two_norms_share_a_hue_or_a_marker() -> None:
    for looks in ([name.hue for name in NAMES.values()], [name.marker for name in NAMES.values()]):
        assert len(set(looks)) == len(looks), sorted(look for look in looks if looks.count(look) > 1)
    assert {name.hue for name in NAMES.values()} == set(HUES)


def test_a_norm_looks_the_same_as_a_line_and_as_the_norm_of_other_lines() -> None:
    for label, name in NAMES.items():
        assert STYLES[label] == (HUES[name.hue], name.marker)
        of_batch = Line("2", "2", (0.0,), (0.0,), hue=label)
        assert _style(of_batch)[0] == _style(Line(label, label, (0.0,), (0.0,)))[0]


def test_a_packages_norm_that_says_nothing_has_ink_and_a_circle() -> None:
    name = NormName("L1", "L1 normalization")
    assert (HUES.get(name.hue, INK), name.marker) == (INK, "o") == _style(Line("l1", "L1", (0.0,), (0.0,)))


def test_what_is_coloured_in_a_figure_of_ours_is_a_norm() -> None:
    plain = {INK, MUTED, GRID, PAPER}
    drawn = sorted((Path(__file__).parents[2] / "results" / "figures").glob("*.svg"))
    assert drawn
    for path in drawn:
        colours = set(re.findall(r"#[0-9a-f]{6}\b", path.read_text(encoding="utf-8"))) - plain
        assert colours and colours <= set(HUES.values()), path.name


@pytest.mark.parametrize("eyes", EYES)
def test_hues_are_told_apart(eyes: str) -> None:
    near = {
        pair: round(found, 1)
        for pair in itertools.combinations(HUES, 2)
        if (found := distance(HUES[pair[0]], HUES[pair[1]], EYES[eyes])) < 10
    }
    assert not near


def test_hues_are_seen_on_white_and_on_a_dark_screen() -> None:
    template = TEMPLATE.read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", part))
        for part in template.split("@media screen and (prefers-color-scheme: dark)")[:2]
    )
    assert {name: light[name] for name in HUES} == HUES
    for name in HUES:
        assert contrast(HUES[name], PAPER) >= 3 and contrast(dark[name], dark["paper"]) >= 4.5, name
    for eyes, (first, second) in itertools.product(EYES.values(), itertools.combinations(HUES, 2)):
        assert distance(dark[first], dark[second], eyes) > 10, (first, second)
    assert not {INK, MUTED, PAPER} & set(HUES.values())
