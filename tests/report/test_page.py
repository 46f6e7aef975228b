"""results/report.html and results/ as people get them: by screen reader, keyboard, phone, dark screen and paper."""

import itertools
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gnexp.report import render
from gnexp.report.exhibits.axes import NORMS
from gnexp.report.render import drawings, page
from gnexp.report.render.figures import HUES, draw
from gnexp.report.render.plots import Line, Panel, Plot
from tests.report.report_claims import BN_AT_2, CHOICES, FILE, GN_AT_2
from tests.report.report_runs import CURVES, FIGURE, TABLE, expand, runs_of, write_runs

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
TEMPLATE = (Path(page.__file__).parent / "templates" / "report.html.jinja").read_text(encoding="utf-8")
MAX_BYTES = 1_500_000  # of a file of results/: what a code host shows and a slow line loads
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3: of text
VOID = {"meta", "img", "br", "hr", "link", "input"}


@dataclass
class Element:
    """A tag with its attributes, its text and what it lies in."""

    tag: str
    attributes: dict[str, str]
    above: tuple["Element", ...]
    text: str = ""
    inside: list["Element"] = field(default_factory=list)


class Document(HTMLParser):
    """Every element of a page in order; one that is not closed where it should be is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.open: list[Element] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs}, tuple(self.open))
        for above in self.open:
            above.inside.append(element)
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]


def published() -> str:
    return (RESULTS / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with all that one can have: drawings, tables, claims and commands."""
    folder = tmp_path_factory.mktemp("page")
    write_runs(folder / "runs", [*runs_of("sizes"), *runs_of("sizes_control")])
    claims = {"table2": {**FILE, "claims": [BN_AT_2, GN_AT_2]}}
    places = {"runs_dir": folder / "runs", "results_dir": folder / "results"}
    render([TABLE, FIGURE, CURVES], expand, **places, claims=claims, scoreboard=CHOICES)
    return (folder / "results" / "report.html").read_text(encoding="utf-8")


@pytest.fixture(params=["published", "invented"])
def document(request: pytest.FixtureRequest) -> Document:
    text = published() if request.param == "published" else request.getfixturevalue("invented")
    return Document(text)


def test_it_has_one_title_and_headings_that_skip_no_level(document: Document) -> None:
    levels = [int(element.tag[1]) for element in document.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    assert all(element.text.strip() for element in document.all("h1", "h2", "h3", "h4"))
    (html,) = document.all("html")
    assert html.attributes["lang"] == "en"


def test_every_table_says_what_it_is_and_what_its_heads_are_of(document: Document) -> None:
    tables = document.all("table")
    assert tables
    for table in tables:
        assert table.inside[0].tag == "caption" and table.inside[0].text.strip()
        rows = [element for element in table.inside if element.tag == "tr"]
        assert all(cell.attributes["scope"] == "col" for cell in rows[0].inside if cell.tag == "th")
        assert all(row.inside[0].attributes.get("scope") == "row" for row in rows[1:])
        # It scrolls in a frame of its own, which the keyboard reaches.
        frame = table.above[-1].attributes
        assert frame["class"] == "scroll" and frame["tabindex"] == "0" and frame["aria-label"]


def test_every_picture_says_what_it_shows_and_opens_larger(document: Document) -> None:
    drawn = [e for e in document.all("svg") if e.attributes.get("aria-hidden") != "true"]
    assert all(element.attributes["role"] == "img" for element in drawn)
    for text in [
        *(e.attributes["aria-label"] for e in drawn),
        *(e.attributes["alt"] for e in document.all("img")),
    ]:
        assert len(text) > 40 and re.search(r"\d", text), text  # a number that it shows, no mere name
    frames = [e for e in document.all("div") if e.attributes.get("class") == "frame"]
    assert frames and all(any(above in frames for above in e.above) for e in [*drawn, *document.all("img")])
    shown = {e.attributes["id"]: e for e in document.elements if "popover" in e.attributes}
    assert len(shown) == len(frames)
    for frame in frames:
        (button,) = (element for element in frame.inside if element.tag == "button")
        (close,) = shown[button.attributes["popovertarget"]].inside
        assert button.attributes["aria-label"].endswith("larger") and close.text == "Close"
        assert close.attributes["popovertargetaction"] == "hide" and "autofocus" in close.attributes


def test_the_keyboard_can_skip_and_sees_where_it_is(document: Document) -> None:
    link = document.all("a")[0].attributes
    ids = [element.attributes["id"] for element in document.elements if "id" in element.attributes]
    assert link["class"] == "skip"
    assert {a.attributes["href"].removeprefix("#") for a in document.all("a")} <= {*ids}
    assert len(ids) == len(set(ids))
    assert ":focus-visible { outline: 2px solid" in TEMPLATE and "outline: none" not in TEMPLATE


def test_it_reads_figure_1_answer_scoreboard_and_then_a_section_a_question(document: Document) -> None:
    main = document.all("main")[0]
    parts = [e.attributes.get("id") or e.attributes["class"] for e in main.inside if e.above[-1] is main]
    asked = [name for name in parts if name.startswith("ask-")]
    assert parts == ["opening", "scoreboard", "contents", *asked, "gpu", "run", "trust"]
    opening = main.inside[0]
    assert {e.attributes.get("id") for e in opening.inside} >= {"answer", "figure1"}
    titles = [e.text for e in document.all("h2")]
    assert len(titles) == len(set(titles))  # what is asked at two scales is one question


def colours_of(block: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_every_colour_stands_out_on_light_and_dark() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21) and contrast("#777777", "#ffffff") < 4.5
    light, dark = (colours_of(block) for block in re.findall(r":root \{(.*?)\}", TEMPLATE, re.DOTALL))
    assert set(light) == set(dark) == {"ink", "muted", "grid", "paper", "code", *HUES}
    for colours in (light, dark):
        for name in ("ink", "muted", "blue"):  # blue is a link's too
            assert contrast(colours[name], colours["paper"]) >= LEAST_CONTRAST, (name, colours[name])
        assert contrast(colours["ink"], colours["code"]) >= LEAST_CONTRAST
    assert {name.hue for name in NORMS.values()} <= {"", *HUES}


def test_paper_is_white_and_nothing_on_it_is_folded() -> None:
    dark = re.findall(r"@media (.*?prefers-color-scheme: dark\))", TEMPLATE)
    assert dark == ["screen and (prefers-color-scheme: dark)"]
    printed = TEMPLATE.split("@media print")[1]
    for rule in (
        "details::details-content { content-visibility: visible",
        "break-inside: avoid",
        ".zoom",
        "@page",
    ):
        assert rule in printed


@pytest.mark.parametrize("folder", ["results", "docs"])
def test_no_file_is_too_large_to_be_opened(folder: str) -> None:
    sizes = {path: path.stat().st_size for path in (ROOT / folder).rglob("*") if path.is_file()}
    assert sizes
    assert not {str(path): size for path, size in sizes.items() if size > MAX_BYTES}


def coordinates(svg: str) -> list[float]:
    """Of all that is drawn but letters."""
    paths = re.findall(r'<path(?: id="(?!DejaVu)[^"]*")? d="([^"]*)"', svg)
    return [float(number) for path in paths for number in re.findall(r"-?\d+(?:\.\d+)?", path)]


def test_a_drawing_on_the_page_is_small_and_the_same_to_a_hundredth_of_a_point() -> None:
    line = Line("bn", "BN", (0.0, 1.0), (17.123456, 23.3))
    plot = Plot(
        "x", "Title", "batch", ("32", "2"), (Panel("Ours", "of data", "error", (line,), (10, 30)),), "", ""
    )
    drawn = draw(plot, has_narrow=True)
    wide, narrow = drawn.wide, drawn.narrow
    drawing = drawings.embed("x", wide, narrow, "What it shows: 23.3")
    for small, whole in ((drawing.wide, wide), (drawing.narrow, narrow)):
        assert coordinates(small) == pytest.approx(coordinates(whole), abs=0.0051)
    letters = drawings.share_letters([wide, narrow])
    used = set(re.findall(r'href="#([LB]-[^"]*)"', drawing.wide + drawing.narrow))
    assert used and used == set(re.findall(r'id="([^"]*)"', letters))
    for small in (drawing.wide, drawing.narrow):
        own = set(re.findall(r'(?:href="|url\()#([^")]*)', small)) - used
        assert own and own == set(
            re.findall(r' id="([^"]*)"', small)
        )  # all that is named is there, and once a page
    assert not set(re.findall(r' id="([^"]*)"', drawing.wide)) & set(
        re.findall(r' id="([^"]*)"', drawing.narrow)
    )
    assert len(drawing.wide + drawing.narrow + letters) < 0.6 * len(wide + narrow)
    assert drawings.share_letters([]) == ""
