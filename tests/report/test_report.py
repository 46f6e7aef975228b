"""The report from runs to files: what it says, that it says it again, and that it notices a change."""

import csv
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gnexp.report import Rendered, check, render, write
from tests.report.report_runs import (
    CURVES,
    FIGURE,
    TABLE,
    directory_of,
    expand,
    result_of,
    runs_of,
    write_runs,
)

ALL = [TABLE, FIGURE, CURVES]


def render_in(folder: Path, exhibits: list[dict[str, object]], *, overwrite: bool = False) -> Rendered:
    return render(
        exhibits, expand, runs_dir=folder / "runs", results_dir=folder / "results", overwrite=overwrite
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every small run and its report; not to be changed."""
    folder = tmp_path_factory.mktemp("whole")
    write_runs(folder / "runs", [*runs_of("sizes"), *runs_of("sizes_control")])
    render_in(folder, ALL)
    return folder


def table(folder: Path) -> str:
    return (folder / "results" / "tables" / "table2.md").read_text(encoding="utf-8")


def row(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_effects_stand_beside_the_paper_s(whole: Path) -> None:
    text = table(whole)
    assert row(text, "BN, the paper") == ["0.0", "+11.1"]
    # By hand: 23.000 minus 17.067, variances 0.13 and 0.0933, error 0.2728, t(3.895) 2.806, so 0.766.
    assert row(text, "BN, ours") == ["0", "+5.9 ± 0.8 (n=3)"]
    assert row(text, "BN at 2 minus BN at 32")[:2] == ["+11.1", "+5.93 [+5.17, +6.70] (n=3)"]
    assert row(text, "BN at 2 minus BN at 32")[-1] == "at least 5: met"
    assert row(text, "`precise`")[0].startswith("16.1 ± ")


def test_a_claim_needs_an_interval_without_zero(whole: Path) -> None:
    text = table(whole)
    assert (
        "BN at 2 loses 5.9 points against BN at 32 (95 % interval +5.2 to +6.7, 3 seeds; the paper: +11.1)"
        in text
    )
    assert "GN at 2 and GN at 32 are not told apart (0.0 points" in text


def test_the_answer_says_what_was_searched_for(whole: Path, tmp_path: Path) -> None:
    """A regime that was searched for an effect shows that it exists; what was a target is no finding."""
    words = "a target of the search for this regime, which ran on other images and seeds"
    readme = (whole / "results" / "README.md").read_text(encoding="utf-8")
    assert f"Each of these differences was {words}" in readme
    assert "; a regime selected to show the effect): BN at 2 loses 5.9 points" in readme
    assert "less of the effect is expected" in readme  # of the control
    write_runs(tmp_path / "runs", runs_of("sizes"))
    bn, gn = TABLE["contrasts"]
    render_in(tmp_path, [{**TABLE, "contrasts": [bn, {"of": gn["of"], "minus": gn["minus"]}]}])
    assert f"Of these 2 differences 1 was {words}" in (tmp_path / "results" / "README.md").read_text(
        encoding="utf-8"
    )


def test_the_caption_owns_up(whole: Path) -> None:
    text = table(whole)
    assert "selected to show the effect" in text
    assert "Control: sizes_control (plain, thin_resnet)" in text
    assert "Base learning rate: " not in text  # 0.1 at both scales
    assert "- Epochs: 3; paper scale: 100." in text


def test_csv_is_tidy(whole: Path) -> None:
    rows = list(
        csv.DictReader((whole / "results" / "tables" / "table2.csv").read_text(encoding="utf-8").splitlines())
    )
    (found,) = [
        r
        for r in rows
        if (r["scale"], r["experiment"], r["norm"], r["batch"], r["quantity"])
        == ("small", "sizes", "bn", "2", "val/top1_error")
    ]
    assert (found["mean"], found["n"], found["planned"], found["paper"]) == ("23.0000", "3", "3", "34.7")
    assert found["run_ids"].split() == [
        r.run_id for r in runs_of("sizes") if r.batch == 2 and r.norm.kind == "bn"
    ]
    empty = next(r for r in rows if r["scale"] == "paper")
    assert (empty["mean"], empty["half_width"], empty["n"], empty["run_ids"]) == ("", "", "0", "")


def test_the_page_needs_nothing_else(whole: Path) -> None:
    page = (whole / "results" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", re.sub(r'xlink:href="#', 'href="#', page))
    assert not re.search(r"@import|url\((?!#)|<script|<link", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'(?:href="#|url\(#)([^")]+)', page):
        assert target in ids
    assert page.count('role="img" aria-label="') == 4  # two figures, wide and narrow
    assert "BN 17.1 at 32 and 23.0 at 2 images per worker" in page


def test_a_question_stands_once_with_its_figures_tables_and_commands(whole: Path) -> None:
    page = (whole / "results" / "report.html").read_text(encoding="utf-8")
    (chapter,) = re.findall(r'<section id="ask-sizes"[^>]*>.*?</section>', page, flags=re.DOTALL)
    assert re.findall(r'<article id="([^"]+)">', chapter) == ["table2", "figure5"]
    assert '<article id="figure1">' in page.split("<nav")[0]  # with which the page opens
    assert chapter.count("What does batch do?") == 1
    (folded,) = re.findall(r"<details>.*?</details>", chapter, flags=re.DOTALL)
    assert "small 12/12, control 12/12, paper 0/4" in folded
    for command in (
        "experiment=sizes scale=small\n",
        "experiment=sizes_control scale=small",
        "experiment=sizes scale=paper",
    ):
        assert f"gnexp sweep {command}" in folded
    (contents,) = re.findall(r"<nav .*?</nav>", page, flags=re.DOTALL)
    links = re.findall(r'href="#([^"]+)"', contents)
    assert links == ["ask-sizes", "figure1", "table2", "figure5", "run", "trust"]


def test_readme_answers_and_names_hardware_and_commits(whole: Path) -> None:
    text = (whole / "results" / "README.md").read_text(encoding="utf-8")
    assert "What does batch do?" in text and "BN at 2 loses 5.9 points" in text
    assert "n = 3 seeds per cell" in text
    assert "invented, 2 cores" in text and "`0123456789ab`" in text
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (whole / "results" / link).exists(), link


def test_a_resumed_run_is_counted_once(tmp_path: Path) -> None:
    """Three runs: one here, one there, one that went over both; the counts sum to three."""
    first, second, third = runs_of("sizes")[:3]
    here = {"commit": "aaaaaaaaaaaaaaaa", "processor": "here", "python": "3.11", "torch": "2.9"}
    there = {**here, "commit": "bbbbbbbbbbbbbbbb", "processor": "there"}
    for run, env in ((first, [here]), (second, [there, there]), (third, [here, there])):
        write_runs(tmp_path / "runs", [run], env=env)
    render_in(tmp_path, [TABLE])
    text = (tmp_path / "results" / "README.md").read_text(encoding="utf-8")
    assert "- 3 runs, " in text
    assert "- Hardware: here (1 run), here, then there (1 run) and there (1 run)." in text
    commits = (
        "`aaaaaaaaaaaa` (1 run)",
        "`aaaaaaaaaaaa`, then `bbbbbbbbbbbb` (1 run)",
        "`bbbbbbbbbbbb` (1 run)",
    )
    assert f"- Commits: {commits[0]}, {commits[1]} and {commits[2]}." in text


def test_the_same_runs_make_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", reversed([*runs_of("sizes"), *runs_of("sizes_control")]))
    render_in(tmp_path, ALL[::-1])
    assert contents(tmp_path / "results") == contents(whole / "results")


def test_check_agrees_then_finds_every_change(whole: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    for name, content in contents(whole / "results").items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_bytes(content)
    assert check(ALL, expand, results_dir=results) == []

    def problems_after(name: str, old: bytes, new: bytes) -> list[str]:
        path = results / name
        before = path.read_bytes()
        assert old in before
        path.write_bytes(before.replace(old, new, 1))
        exhibit = TABLE if name.startswith("tables") else FIGURE  # alone: to draw takes a second
        found = check([exhibit], expand, results_dir=results, is_whole=False)
        path.write_bytes(before)
        return found

    for name in ("tables/table2.md", "tables/table2.csv"):
        assert [name in p for p in problems_after(name, b"23.0", b"22.0")] == [True]
    digest = re.search(rb"sha256:[0-9a-f]{8}", (results / "figures/figure1.svg").read_bytes())
    assert digest is not None
    assert "figure1.svg" in problems_after("figures/figure1.svg", digest[0], b"sha256:00000000")[0]
    assert "figure1.png" in problems_after("figures/figure1.png", digest[0], b"sha256:00000000")[0]
    # Only what matplotlib draws may differ between its versions.
    assert problems_after("figures/figure1.svg", b"<path", b"<path ") == []


def test_check_reads_the_page_s_words_and_not_its_drawings(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_runs(tmp_path / "runs", runs_of("sizes"))
    render_in(tmp_path, [TABLE, CURVES])
    page, readme = results / "report.html", results / "README.md"
    before = page.read_text(encoding="utf-8")
    page.write_text(re.sub(r"<path d=", "<path  d=", before), encoding="utf-8")
    assert check([TABLE, CURVES], expand, results_dir=results) == []
    page.write_text(before.replace("+5.9", "+9.5"), encoding="utf-8")
    readme.unlink()
    assert [
        ("report.html" in p, "README.md" in p) for p in check([TABLE, CURVES], expand, results_dir=results)
    ] == [
        (False, True),
        (True, False),
    ]


def test_check_ignores_runs_that_wait_and_finds_results_that_changed(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", runs_of("sizes")[:2])
    render_in(tmp_path, [TABLE])
    results = tmp_path / "results"
    write_runs(tmp_path / "runs", runs_of("sizes")[2:3])
    assert check([TABLE], expand, results_dir=results) == []
    result_of(runs_of("sizes")[0], 50.0).save(results / "runs" / f"{runs_of('sizes')[0].run_id}.json")
    assert any("table2.md is not what the runs say" in p for p in check([TABLE], expand, results_dir=results))


def test_four_runs_of_one_seed_read_well(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", [run for run in runs_of("sizes") if run.seed == 0])
    rendered = render_in(tmp_path, [TABLE])
    text = table(tmp_path)
    assert row(text, "BN, ours") == ["0", "+6.1 (n=1)"]
    assert (
        "erred 6.1 points more than BN at 32 (1 seed, so no interval and no claim; the paper: +11.1)"
        in rendered.answer
    )
    assert "loses" not in text and "±" not in row(text, "GN, ours")[1]
    assert "gnexp sweep experiment=sizes scale=small\n" in text
    assert "has not been run yet" in rendered.answer


def test_missing_cells_are_dashes_with_their_commands(tmp_path: Path) -> None:
    runs = runs_of("sizes")
    write_runs(tmp_path / "runs", [run for run in runs if run.batch == 32 or run.norm.kind == "gn"][:-1])
    render_in(tmp_path, [TABLE])
    text = table(tmp_path)
    assert row(text, "BN, ours") == ["0", "–"]
    assert "BN at 2 against BN at 32 has not been measured" in text
    lost = [run for run in runs if run.batch == 32 and run.seed == 2 and run.norm.kind == "gn"]
    write_runs(tmp_path / "runs", runs)
    (directory_of(tmp_path / "runs", lost[0]) / "result.json").unlink()
    (tmp_path / "results" / "runs" / f"{lost[0].run_id}.json").unlink()
    render_in(tmp_path, [TABLE])
    assert "    gnexp train experiment=sizes scale=small norm=gn batch=32 seed=2\n" in table(tmp_path)


def test_nothing_at_all_still_renders(tmp_path: Path) -> None:
    rendered = render_in(tmp_path, ALL)
    assert rendered.answer == "No run of these exhibits has been measured yet."
    assert rendered.notes == ()
    assert row(table(tmp_path), "GN, the paper") == ["24.1", "24.1"]
    assert (tmp_path / "results" / "figures" / "figure1.svg").exists()  # the paper's own curve
    assert not (tmp_path / "results" / "figures" / "figure5.svg").exists()
    assert check(ALL, expand, results_dir=tmp_path / "results") == []


def test_finished_runs_of_no_exhibit_are_told(tmp_path: Path) -> None:
    """A report without a number beside a folder of finished runs says whose they are not."""
    others = [dataclasses.replace(run, seed=99 + run.seed) for run in runs_of("sizes")[:5]]
    write_runs(tmp_path / "runs", others[:1], error=17.0)
    rendered = render_in(tmp_path, [TABLE])
    assert rendered.answer == "No run of these exhibits has been measured yet."
    name = directory_of(tmp_path / "runs", others[0]).name
    where = f"1 finished run in {tmp_path / 'runs'} of no exhibit, so not in the report: {name}"
    assert rendered.notes == (f"{where}; what each found stands in its result.json",)
    write_runs(tmp_path / "runs", [*others, *runs_of("sizes")], error=17.0)
    (note,) = render_in(tmp_path, [TABLE]).notes
    assert note.startswith("5 finished runs in ") and note.count("seed") == 3 and ", others; " in note
    assert check([TABLE], expand, results_dir=tmp_path / "results") == []
    chosen = render([TABLE], expand, runs_dir=tmp_path / "runs", results_dir=tmp_path / "two", is_whole=False)
    assert " of none of these exhibits, " in chosen.notes[0]


def test_diverged_seeds_are_counted_and_kept_out_of_means(tmp_path: Path) -> None:
    runs = runs_of("sizes")
    write_runs(tmp_path / "runs", runs)
    for run in runs:
        if run.norm.kind == "bn" and run.batch == 2 and run.seed > 0:
            write_runs(tmp_path / "runs", [run], status="diverged", metrics={}, series=[])
        if run.norm.kind == "gn" and run.batch == 2:
            write_runs(tmp_path / "runs", [run], status="diverged", metrics={}, series=[])
    render_in(tmp_path, [TABLE])
    text = table(tmp_path)
    errors = text[text.index("Errors behind it") :]
    assert row(errors, "BN, ours")[1] == "23.1 (n=1, 2 of 3 diverged)"
    assert row(errors, "GN, ours")[1] == "3 of 3 diverged"


def test_skipped_files_are_told(tmp_path: Path) -> None:
    first, *rest = runs_of("sizes")
    write_runs(tmp_path / "runs", rest)
    write_runs(tmp_path / "runs", [first], num_skipped=3)
    render_in(tmp_path, [TABLE])
    for page in ("README.md", "report.html"):
        text = (tmp_path / "results" / page).read_text(encoding="utf-8")
        assert f"`{first.run_id}` (3), with the number of them" in text.replace("<code>", "`").replace(
            "</code>", "`"
        )
        assert text.count(f"{first.run_id}") == 1


def test_paper_scale_shows_the_difference(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", runs_of("sizes", "paper")[:1], error=24.0)
    render_in(tmp_path, [TABLE])
    text = table(tmp_path)[table(tmp_path).index("## Paper scale") :]
    assert row(text, "BN, ours") == ["24.0 (n=1)", "–"]
    assert row(text, "BN, difference") == ["+0.4", "–"]
    assert "seed=0 data.root=/data/imagenet" in text


def test_faults_are_notes_and_never_a_crash(tmp_path: Path) -> None:
    runs = runs_of("sizes")
    write_runs(tmp_path / "runs", runs)
    (directory_of(tmp_path / "runs", runs[0]) / "result.json").write_text(
        '{"format": 1, "run_id"', encoding="utf-8"
    )
    (directory_of(tmp_path / "runs", runs[1]) / "result.json").unlink()
    result_of(runs[2], 70.0).save(tmp_path / "runs" / f"{runs[2].run_id}-again" / "result.json")
    rendered = render_in(tmp_path, [TABLE])
    assert len(rendered.notes) == 3
    assert row(table(tmp_path), "BN, ours") == ["–", "–"]  # all three seeds of the reference are in doubt
    assert len(rendered.collected) == len(runs) - 3


def test_an_interrupted_report_leaves_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_runs(tmp_path / "runs", [run for run in runs_of("sizes") if run.seed == 0])
    render_in(tmp_path, [TABLE])
    before = contents(tmp_path / "results")
    write_runs(tmp_path / "runs", runs_of("sizes"))
    written: list[Path] = []
    real = write.write_bytes

    def interrupt(path: Path, content: bytes) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        real(path, content)

    monkeypatch.setattr(write, "write_bytes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        render_in(tmp_path, [TABLE])
    monkeypatch.undo()
    after = contents(tmp_path / "results")
    fresh = tmp_path / "fresh"
    write_runs(fresh / "runs", runs_of("sizes"))
    render_in(fresh, [TABLE])
    new = contents(fresh / "results")
    assert set(after) == set(new)  # no temporary file
    assert all(after[name] in (before.get(name), new[name]) for name in after)
    assert any(after[name] != new[name] for name in after)
    render_in(tmp_path, [TABLE])  # a rerun goes on
    assert contents(tmp_path / "results") == new


def test_an_interrupt_while_drawing_touches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_runs(tmp_path / "runs", runs_of("sizes")[:1])
    render_in(tmp_path, [TABLE])
    before = contents(tmp_path / "results")

    def interrupt(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "draw", interrupt)
    with pytest.raises(KeyboardInterrupt):
        render_in(tmp_path, [TABLE, FIGURE])
    assert contents(tmp_path / "results") == before


def test_a_choice_of_exhibits_leaves_the_index_alone(tmp_path: Path) -> None:
    render([TABLE], expand, runs_dir=tmp_path / "runs", results_dir=tmp_path / "results", is_whole=False)
    assert set(contents(tmp_path / "results")) == {"tables/table2.md", "tables/table2.csv"}


def test_a_figure_without_runs_left_is_removed(tmp_path: Path) -> None:
    stale = tmp_path / "results" / "figures" / "figure5.svg"
    stale.parent.mkdir(parents=True)
    stale.write_text("old", encoding="utf-8")
    assert any("left over" in p for p in check([CURVES], expand, results_dir=tmp_path / "results"))
    render_in(tmp_path, [CURVES])
    assert not stale.exists()


def test_an_exhibit_with_an_unknown_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exhibit table2: unknown key colour"):
        render_in(tmp_path, [{**TABLE, "colour": "red"}])


def test_a_new_seed_of_the_control_does_not_change_the_experiment(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", [*runs_of("sizes"), *runs_of("sizes_control")[:1]])
    render_in(tmp_path, [TABLE])
    assert row(table(tmp_path), "BN, ours") == ["0", "+5.9 ± 0.8 (n=3)"]
    assert row(table(tmp_path), "BN, control") == ["0", "–"]


def test_the_report_imports_neither_torch_nor_hydra_nor_matplotlib() -> None:
    names = "('torch', 'torchvision', 'hydra', 'omegaconf', 'matplotlib')"
    code = f"import sys, gnexp.report; sys.exit(', '.join(n for n in {names} if n in sys.modules) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_results_are_looked_up_by_what_they_are_not_by_their_label(tmp_path: Path) -> None:
    run = runs_of("sizes")[0]
    renamed = dataclasses.replace(run, model=dataclasses.replace(run.model, name="another_name"))
    assert renamed.run_id == run.run_id
    write_runs(tmp_path / "runs", [renamed])
    assert len(render_in(tmp_path, [TABLE]).collected) == 1
