"""An exhibit leads to its twin at the other scale, once that is rendered: in its file, in the index, on the page."""

import re
from pathlib import Path

import pytest

from gnexp.report import check, render
from tests.report.report_runs import CURVES, TABLE, expand, runs_of, write_runs

SMALL = [{**exhibit, "twin": f"{exhibit['id']}_demo"} for exhibit in (TABLE, CURVES)]
DEMO = [
    {**exhibit, "id": f"{exhibit['id']}_demo", "scale": "demo", "control": None, "twin": exhibit["id"]}
    for exhibit in (TABLE, CURVES)
]
TO_DEMO = "[The same question on generated garments](table2_demo.md)."
TO_SMALL = "[The same question on photographs](table2.md)."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both scales' exhibits rendered from runs of the small one alone; not to be changed."""
    found = tmp_path_factory.mktemp("twins")
    write_runs(found / "runs", runs_of("sizes"))
    render([*SMALL, *DEMO], expand, runs_dir=found / "runs", results_dir=found / "results")
    return found / "results"


def read(results_dir: Path, name: str) -> str:
    return (results_dir / name).read_text(encoding="utf-8")


def test_tables_lead_to_each_other(folder: Path) -> None:
    assert read(folder, "tables/table2.md").count(TO_DEMO) == 1
    assert read(folder, "tables/table2_demo.md").count(TO_SMALL) == 1


def test_a_figure_that_is_not_drawn_is_led_from_and_never_to(folder: Path) -> None:
    assert not (folder / "figures/figure5_demo.svg").exists()
    rows = {
        line.split("|")[1].strip(): line
        for line in read(folder, "README.md").splitlines()
        if line[:8] == "| Figure"
    }
    assert "| [picture](figures/figure5.svg) " in rows["Figure 5"] and "twin" not in rows["Figure 5"]
    assert "nothing to draw yet, [its twin](figures/figure5.svg)" in rows["Figure 5 at demo scale"]


def test_the_caption_on_the_page_leads_to_the_twin(folder: Path) -> None:
    page = read(folder, "report.html")
    articles = dict(re.findall(r'<article id="(\w+)">(.*?)</article>', page, re.DOTALL))
    links = re.compile(r'<a href="#(\w+)">The same question on')
    assert {name: links.findall(text) for name, text in articles.items()} == {
        "table2": ["table2_demo"],
        "table2_demo": ["table2"],
        "figure5": [],
        "figure5_demo": ["figure5"],
    }


def test_a_drawn_caption_ends_with_the_link(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", [*runs_of("sizes"), *runs_of("sizes", "demo")])
    render([*SMALL, *DEMO], expand, runs_dir=tmp_path / "runs", results_dir=tmp_path / "results")
    page = read(tmp_path / "results", "report.html")
    assert ' <a href="#figure5_demo">The same question on generated garments</a>.</figcaption>' in page
    assert "[The same question on generated garments](figures/figure5_demo.svg)." in read(
        tmp_path / "results", "README.md"
    )


def test_a_choice_of_exhibits_leads_to_twins_that_an_earlier_report_wrote(folder: Path) -> None:
    assert check(SMALL, expand, results_dir=folder, is_whole=False) == []
    assert check(DEMO, expand, results_dir=folder, is_whole=False) == []


def test_a_twin_that_was_never_rendered_is_not_led_to(tmp_path: Path) -> None:
    render(SMALL, expand, runs_dir=tmp_path / "runs", results_dir=tmp_path / "results", is_whole=False)
    text = read(tmp_path / "results", "tables/table2.md")
    assert "Nothing has been run yet" in text and "The same question" not in text


def test_a_twin_rendered_later_makes_no_file_of_the_first_wrong(tmp_path: Path) -> None:
    places = {"results_dir": tmp_path / "results"}
    for exhibits in (SMALL, DEMO):
        render(exhibits, expand, runs_dir=tmp_path / "runs", is_whole=False, **places)
    assert "The same question" not in read(tmp_path / "results", "tables/table2.md")
    assert check(SMALL, expand, is_whole=False, **places) == []
    (tmp_path / "results/tables/table2.md").unlink()
    (problem, *_) = check(DEMO, expand, is_whole=False, **places)  # its link leads nowhere now
    assert "table2_demo.md is not what the runs say" in problem
