"""Pictures of detections on their way into results/figures, and on the page."""

import base64
import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from gnexp.config import RunConfig
from gnexp.report import Rendered, check, render
from gnexp.report.parse import parse_exhibit
from gnexp.runs.pictures import Pictures
from tests.report.report_detection import expand, load, runs_of, write_aps
from tests.report.report_runs import directory_of, write_runs

GN, BN = (runs_of("coco_scratch", model="thin_mask_rcnn", norm=norm)[0] for norm in ("gn", "bn"))
SHOWN = {**load("detections"), "num_images": 2}


def render_in(folder: Path, *, overwrite: bool = False, **changes: Any) -> Rendered:
    return render(
        [{**SHOWN, **changes}],
        expand,
        runs_dir=folder / "runs",
        results_dir=folder / "results",
        overwrite=overwrite,
    )


def problems(folder: Path) -> list[str]:
    return check([SHOWN], expand, results_dir=folder / "results")


def page(folder: Path) -> str:
    return (folder / "results" / "figures" / "detections.md").read_text(encoding="utf-8")


def digest_of_result(runs_dir: Path, run: RunConfig) -> str | None:
    path = directory_of(runs_dir, run) / "result.json"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def write_pictures(runs_dir: Path, run: RunConfig, word: str = "drawn", **changes: Any) -> Path:
    """What gnexp eval leaves: three pictures, of which an exhibit may show two."""
    folder = directory_of(runs_dir, run) / "images"
    folder.mkdir(parents=True, exist_ok=True)
    contents = {f"{number:012d}.png": f"{word} {run.run_id} {number}".encode() for number in (7, 9, 11)}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    about = {
        "run_id": run.run_id,
        "eval_stats": "worker0",
        "least_score": 0.5,
        "result": digest_of_result(runs_dir, run),
        "commit": "fedcba9876543210",
        "dirty": False,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    Pictures(**{**about, **changes}).save(folder / "pictures.json")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Finished runs of both cells with pictures."""
    for run, ap in ((GN, 30.0), (BN, 5.0)):
        write_aps(tmp_path / "runs", [run], {0: ap}, mask=4.0)
        write_pictures(tmp_path / "runs", run)
    return tmp_path


def test_the_first_pictures_are_collected_unchanged_and_shown(folder: Path) -> None:
    rendered = render_in(folder)
    store = folder / "results" / "figures" / "detections"
    wanted = {f"{run.run_id}-{n:012d}.png": f"drawn {run.run_id} {n}" for run in (GN, BN) for n in (7, 9)}
    about = {f"{run.run_id}.json" for run in (GN, BN)}
    assert {path.name for path in store.iterdir()} == {*wanted, *about}
    assert all((store / name).read_text(encoding="utf-8") == content for name, content in wanted.items())
    assert {store / name for name in (*wanted, *about)} <= {*rendered.paths}
    text = page(folder)
    for name in wanted:
        assert f"(detections/{name})" in text
    assert "| 7 | ![Image 7: left what is annotated, right what GN in thin_mask_rcnn finds](" in text
    html = (folder / "results" / "report.html").read_text(encoding="utf-8")
    for content in wanted.values():
        assert f'src="data:image/png;base64,{base64.b64encode(content.encode()).decode()}"' in html
    assert "[pictures](figures/detections.md)" in (folder / "results" / "README.md").read_text(
        encoding="utf-8"
    )


def test_it_says_where_the_pictures_are_from(folder: Path) -> None:
    render_in(folder)
    text = page(folder)
    assert "The first 2 images of val (7 and 9)" in text and "a score of at least 0.5" in text
    assert (
        f"- GN in thin_mask_rcnn: run `{GN.run_id}` (seed 0), box AP 30.0 over all of val, trained at commit "
        "`0123456789ab`, drawn at `fedcba987654` under the `worker0` statistics." in text
    )
    assert "gnexp train" not in text


def test_check_needs_results_alone(folder: Path) -> None:
    render_in(folder)
    shutil.rmtree(folder / "runs")
    assert problems(folder) == []
    render_in(folder)
    assert problems(folder) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (f"detections/{GN.run_id}-{7:012d}.png", b"other", "is not what was drawn"),
        (f"detections/{GN.run_id}-{7:012d}.png", None, "No such file"),
        (f"detections/{GN.run_id}.json", b"{", "does not say what pictures show"),
        (f"detections/{GN.run_id}.json", b"[]", "does not say what pictures show"),
        ("detections.md", b"other", "is not what the runs say"),
    ],
)
def test_check_finds_what_was_changed(folder: Path, name: str, content: bytes | None, words: str) -> None:
    render_in(folder)
    path = folder / "results" / "figures" / name
    path.unlink() if content is None else path.write_bytes(content)
    found = problems(folder)
    assert any(words in problem for problem in found)
    assert (
        str(folder) not in found[0] or name == "detections.md"
    )  # notes stand in the report, wherever it lies
    render_in(folder)
    assert [bool(problem) for problem in problems(folder)] == [True] * (name != "detections.md")
    render_in(folder, overwrite=True)
    assert problems(folder) == []


def test_present_pictures_are_replaced_only_when_told(folder: Path) -> None:
    render_in(folder)
    before = page(folder)
    write_pictures(folder / "runs", GN, "drawn anew")
    rendered = render_in(folder)
    assert page(folder) == before
    assert any("keeps other pictures" in note and "overwrite=true" in note for note in rendered.notes)
    render_in(folder, overwrite=True)
    shown = folder / "results" / "figures" / "detections" / f"{GN.run_id}-{7:012d}.png"
    assert shown.read_text(encoding="utf-8") == f"drawn anew {GN.run_id} 7"
    assert problems(folder) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run_id": BN.run_id}, f"is of run {BN.run_id} under worker0"),
        ({"eval_stats": "precise"}, "under precise"),
        ({"sha256": {"000000000007.png": ""}}, "has 1 picture, detections shows 2"),
        ({"sha256": dict.fromkeys(("000000000007.png", "000000000009.png"), "")}, "is not what was drawn"),
    ],
)
def test_what_is_not_wanted_is_not_collected(folder: Path, changes: dict[str, Any], words: str) -> None:
    write_pictures(folder / "runs", GN, **changes)
    rendered = render_in(folder)
    assert any(note.startswith("not collected: ") and words in note for note in rendered.notes)
    assert f"gnexp eval run={GN.run_id} save_images=2 again" in " ".join(rendered.notes)
    assert not (folder / "results" / "figures" / "detections" / f"{GN.run_id}.json").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sha256": {"../7.png": ""}}, "a picture is named by its image's id"),
        ({"sha256": {"7.svg": ""}}, "a picture is named by its image's id"),
        ({"sha256": ["000000000007.png", "000000000009.png"]}, "sha256 must be digests by name"),
        ({"least_score": None}, "least_score must be a number, got None"),
    ],
)
def test_fields_that_nobody_draws_with_are_a_note(folder: Path, changes: dict[str, Any], words: str) -> None:
    write_pictures(folder / "runs", GN, **changes)
    rendered = render_in(folder)
    assert any("does not say what pictures show" in note and words in note for note in rendered.notes)


def test_pictures_of_another_training_than_the_recorded_one_are_not_shown(folder: Path) -> None:
    render_in(folder)
    write_aps(folder / "runs", [GN], {0: 31.0}, mask=4.0)  # run again: other weights, another result
    render_in(folder)
    assert "box AP 30.0 over all of val, trained at" in page(folder), (
        "the recorded result's own pictures stay"
    )
    rendered = render_in(folder, overwrite=True)
    words = f"is of another training than the recorded result of {GN.run_id}"
    assert any(note.startswith("not collected: ") and words in note for note in rendered.notes)
    assert "box AP 31.0 over all of val, pictures –" in page(folder)
    assert any(words in problem for problem in problems(folder))
    write_pictures(folder / "runs", GN, "drawn anew")
    render_in(folder, overwrite=True)
    assert "box AP 31.0 over all of val, trained at" in page(folder) and problems(folder) == []


def test_a_copy_of_a_run_beside_it_serves_where_it_has_the_pictures(folder: Path) -> None:
    own = directory_of(folder / "runs", GN)
    shutil.copytree(own, own.with_name(f"{own.name}-copy"))
    (own / "images" / "pictures.json").unlink()
    assert render_in(folder).notes == () and f"(detections/{GN.run_id}-" in page(folder)


def test_pictures_that_nothing_shows_any_more_are_told_and_removed(folder: Path) -> None:
    render_in(folder, num_images=3)
    store = folder / "results" / "figures" / "detections"
    foreign = store / f"{'0' * 12}-{7:012d}.png"
    foreign.write_bytes(b"of a run that no cell names")
    third = store / f"{GN.run_id}-{11:012d}.png"
    assert third.exists()
    told = [problem for problem in problems(folder) if "is left over" in problem]
    assert any(str(third) in problem for problem in told) and any(str(foreign) in problem for problem in told)
    render_in(folder)
    assert not third.exists() and not foreign.exists() and problems(folder) == []


def test_the_answer_is_not_that_nothing_was_measured(folder: Path) -> None:
    assert render_in(folder).answer.startswith("These exhibits compare nothing")


def test_a_missing_picture_is_a_dash_and_the_commands_that_make_it(folder: Path) -> None:
    shutil.rmtree(directory_of(folder / "runs", BN) / "images")
    render_in(folder)
    text = page(folder)
    row = next(line for line in text.splitlines() if line.startswith("| 7 |"))
    assert row.endswith(" | – |")
    assert (
        f"- BN in thin_mask_rcnn: run `{BN.run_id}` (seed 0), box AP 5.0 over all of val, pictures –" in text
    )
    *_, train, draw = text.strip().splitlines()
    assert train.split()[:2] == ["gnexp", "train"] and "norm=bn" in train and train.endswith("seed=0")
    assert draw.strip() == f"gnexp eval run={BN.run_id} save_images=2"
    assert f"gnexp eval run={BN.run_id} save_images=2" in (folder / "results" / "report.html").read_text(
        encoding="utf-8"
    )
    assert problems(folder) == []


def test_nothing_at_all_is_commands_alone(tmp_path: Path) -> None:
    render_in(tmp_path, eval_stats="mean")
    text = page(tmp_path)
    assert "box AP –, pictures –" in text and "| 7 |" not in text
    assert f"    gnexp eval run={GN.run_id} save_images=2 eval_stats=mean\n" in text


def test_a_diverged_run_has_nothing_to_draw(folder: Path) -> None:
    shutil.rmtree(directory_of(folder / "runs", BN))
    write_runs(folder / "runs", [BN], error=1.0, status="diverged", metrics={})
    render_in(folder)
    assert f"BN in thin_mask_rcnn: run `{BN.run_id}` (seed 0) diverged, so there is nothing" in page(folder)
    assert "gnexp eval" not in page(folder)


@pytest.mark.parametrize("num", [0, -1, "four", True])
def test_a_number_of_images_that_is_none(num: object) -> None:
    with pytest.raises(ValueError, match="exhibit detections: .*num_images"):
        parse_exhibit({**SHOWN, "num_images": num})
