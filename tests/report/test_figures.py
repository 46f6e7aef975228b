"""Figures: what they plot, that their files say so, and that labels keep apart."""

import dataclasses
import itertools

import pytest

from gnexp.report.exhibits.cells import Findings, measure
from gnexp.report.exhibits.statistics import Estimate
from gnexp.report.kinds.batch_figure import BATCH_FIGURE
from gnexp.report.kinds.epoch_figure import EPOCH_FIGURE
from gnexp.report.parse import parse_exhibit
from gnexp.report.render.figures import digest_of, draw, draw_nothing, lay_out
from gnexp.report.render.labels import spread
from gnexp.report.render.plots import Line, line_of, span_of
from gnexp.runs.result import Result
from tests.report.report_runs import CURVES, FIGURE, expand, result_of, runs_of


def findings(results: dict[str, Result]) -> Findings:
    small, paper, control = (
        measure([expand(name, scale)], ("norm", "batch"), results)
        for name, scale in (("sizes", "small"), ("sizes", "paper"), ("sizes_control", "small"))
    )
    return Findings(small, paper, control)


@pytest.fixture
def results() -> dict[str, Result]:
    return {run.run_id: result_of(run) for run in runs_of("sizes")}


def test_batches_run_from_32_to_2_as_in_the_paper(results: dict[str, Result]) -> None:
    plot = BATCH_FIGURE.plot(parse_exhibit(FIGURE), findings(results))
    assert plot.x_ticks == ("32", "2")
    paper, ours = plot.panels
    assert [line.y for line in paper.lines] == [(23.6, 34.7), (24.1, 24.1)]
    assert ours.lines[0].y == pytest.approx((17.0667, 23.0), abs=1e-4)
    assert [line.label for line in ours.lines] == ["BN +5.9", "GN 0.0"]
    assert ours.lines[0].high[1] == pytest.approx(23.0 + 4.302653 * 0.360555 / 3**0.5, abs=1e-4)


def test_panels_span_the_same_points_from_the_same_reference(results: dict[str, Result]) -> None:
    results |= {run.run_id: result_of(run, 12.0) for run in runs_of("sizes_control")}
    panels = BATCH_FIGURE.plot(parse_exhibit(FIGURE), findings(results)).panels
    assert len(panels) == 3
    below = [panel.reference - panel.y_limits[0] for panel in panels if panel.reference is not None]
    above = [panel.y_limits[1] - panel.reference for panel in panels if panel.reference is not None]
    assert below == pytest.approx([below[0]] * 3) and above == pytest.approx([above[0]] * 3)


def test_panels_are_aligned_on_the_cell_that_the_exhibit_names(results: dict[str, Result]) -> None:
    exhibit = parse_exhibit({**FIGURE, "reference": {"norm": "gn", "batch": 2}})
    paper, ours = BATCH_FIGURE.plot(exhibit, findings(results)).panels
    assert (paper.reference, ours.reference) == (24.1, pytest.approx(17.4))
    with pytest.raises(ValueError, match="reference of a batch_figure must name every axis, it lacks batch"):
        parse_exhibit({**FIGURE, "reference": {"norm": "gn"}})


def test_a_line_across_missing_cells_says_so() -> None:
    exhibit = parse_exhibit({**FIGURE, "paper": {"bn": {32: 1.0, 8: 1.0, 2: 2.0}}})
    plot = BATCH_FIGURE.plot(exhibit, findings({run.run_id: result_of(run) for run in runs_of("sizes")}))
    assert plot.panels[1].lines[0].gaps == (0,)
    assert "Dashed" in plot.caption


def test_paper_scale_runs_are_drawn_over_the_paper_s_curve(results: dict[str, Result]) -> None:
    results |= {run.run_id: result_of(run, 24.0) for run in runs_of("sizes", "paper")}
    first = BATCH_FIGURE.plot(parse_exhibit(FIGURE), findings(results)).panels[0]
    assert [line.is_light for line in first.lines] == [True, True, False, False]


def test_a_lone_seed_is_not_drawn_behind_its_own_mean() -> None:
    line = line_of(
        "ours",
        "BN",
        [(0, Estimate(17.0, None, None, (1,))), (1, Estimate(23.0, None, None, (2,)))],
        [[17.0], [22.0, 24.0]],
    )
    assert line.seeds == ((), (22.0, 24.0))


def test_curves_are_means_over_seeds_with_their_range(results: dict[str, Result]) -> None:
    plot = EPOCH_FIGURE.plot(parse_exhibit(CURVES), findings(results))
    assert plot is not None
    assert [panel.title for panel in plot.panels] == ["BN, by images per worker", "GN, by images per worker"]
    line = plot.panels[0].lines[1]  # BN at 2: 23.1, 23.3, 22.6 plus 40 / epoch
    assert line.x == (1.0, 2.0, 3.0)
    assert line.y == pytest.approx((63.0, 43.0, 23.0 + 40 / 3))
    assert (line.low[1], line.high[1]) == pytest.approx((42.6, 43.3))


def test_curves_leave_out_diverged_seeds_and_metrics_that_are_missing() -> None:
    runs = runs_of("sizes")
    results = {runs[0].run_id: result_of(runs[0], status="diverged", metrics={})}
    assert EPOCH_FIGURE.plot(parse_exhibit(CURVES), findings(results)) is None
    results = {runs[0].run_id: result_of(runs[0], series=[{"epoch": 1}, {"val/top1_error": 3.0}])}
    assert EPOCH_FIGURE.plot(parse_exhibit(CURVES), findings(results)) is None


def test_files_carry_the_digest_of_their_numbers(results: dict[str, Result]) -> None:
    plot = BATCH_FIGURE.plot(parse_exhibit(FIGURE), findings(results))
    drawn = draw(plot, has_narrow=True)
    for files in (drawn, draw_nothing(plot, has_narrow=True)):
        for content in (files.wide.encode(), files.narrow.encode(), files.png):
            assert digest_of(content) == plot.digest
    assert draw(plot, has_narrow=True) == drawn
    for svg in (drawn.wide, drawn.narrow):
        assert "matplotlib v" not in svg.lower() and "<dc:date>" not in svg


def test_the_digest_follows_the_numbers_and_nothing_finer(results: dict[str, Result]) -> None:
    exhibit = parse_exhibit(FIGURE)
    run = runs_of("sizes")[0]
    before = BATCH_FIGURE.plot(exhibit, findings(results)).digest
    results[run.run_id] = result_of(run, 17.0 + 1e-12)
    assert BATCH_FIGURE.plot(exhibit, findings(results)).digest == before
    results[run.run_id] = result_of(run, 17.1)
    assert BATCH_FIGURE.plot(exhibit, findings(results)).digest != before


@pytest.mark.parametrize(
    "content", [b"", b"<svg/>", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0\xff\xffIDAT12"]
)
def test_a_file_without_a_digest_has_none(content: bytes) -> None:
    assert digest_of(content) is None


def test_labels_keep_apart_in_order_and_above_the_floor() -> None:
    values = [1.0, 1.05, 1.02, 5.0]
    placed = spread(values, 1.0, floor=0.0)
    assert placed[3] == 5.0
    ordered = [placed[0], placed[2], placed[1]]
    assert all(b - a >= 1.0 - 1e-9 for a, b in itertools.pairwise(ordered))
    assert ordered[0] >= 0.5


@pytest.mark.parametrize("is_narrow", [False, True])
def test_every_label_has_room(results: dict[str, Result], is_narrow: bool) -> None:
    plot = BATCH_FIGURE.plot(parse_exhibit(FIGURE), findings(results))
    panels = [
        dataclasses.replace(
            panel, lines=tuple(dataclasses.replace(line, label="sync BN +12.3") for line in panel.lines)
        )
        for panel in plot.panels
    ]
    figure = lay_out(dataclasses.replace(plot, panels=tuple(panels)), is_narrow=is_narrow)
    texts = [text for axes in figure.axes for text in axes.texts if text.get_text()]
    assert sum(text.get_text() == "sync BN +12.3" for text in texts) >= 2
    for text in texts:
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, text.get_text()


def test_words_are_no_part_of_the_digest(results: dict[str, Result]) -> None:
    plot = BATCH_FIGURE.plot(parse_exhibit(FIGURE), findings(results))
    renamed = dataclasses.replace(plot, caption="other words")
    assert renamed.digest == plot.digest  # words are compared as text, not by the digest


def test_seeds_stand_behind_means_and_inside_the_panel(results: dict[str, Result]) -> None:
    plot = BATCH_FIGURE.plot(parse_exhibit(FIGURE), findings(results))
    (_, ours) = plot.panels
    assert ours.lines[0].seeds == ((17.0, 17.4, 16.8), (23.1, 23.3, 22.6))
    low, high = ours.y_limits
    assert all(low < value < high for line in ours.lines for values in line.seeds for value in values)
    assert "Small dots: the seeds." in plot.caption
    bare = dataclasses.replace(plot, panels=(plot.panels[0],))
    assert not any(line.seeds for line in bare.panels[0].lines)  # the paper gives none


def test_a_bar_that_is_cut_is_told_of(results: dict[str, Result]) -> None:
    wide = {run.run_id: result_of(run, 20.0 + 9 * (run.seed - 1)) for run in runs_of("sizes")}
    plot = BATCH_FIGURE.plot(parse_exhibit(FIGURE), findings(results))
    assert "goes on beyond it" not in plot.caption
    cut = BATCH_FIGURE.plot(parse_exhibit(FIGURE), findings(results | wide))
    assert "A bar that reaches the edge of its panel goes on beyond it." in cut.caption


def test_a_bar_may_be_longer_where_points_lie_far_apart() -> None:
    def reach(second: float, half: float) -> tuple[float, float]:
        bar = (None, second - half), (None, second + half)
        return span_of([Line("bn", "", (0.0, 1.0), (10.0, second), *bar)])

    assert reach(12.0, 5.0) == (9.0, 15.0)  # cut at 3 points
    assert reach(40.0, 5.0) == (10.0, 45.0) and reach(40.0, 20.0) == (10.0, 49.0)  # cut at 30 % of 30


@pytest.mark.parametrize("is_narrow", [False, True])
def test_no_dot_or_marker_is_cut(results: dict[str, Result], is_narrow: bool) -> None:
    """Lines that stand aside of each other stand so at the first place too."""
    plot = BATCH_FIGURE.plot(parse_exhibit(FIGURE), findings(results))
    ours = plot.panels[-1]
    three = tuple(dataclasses.replace(ours.lines[0], style=style) for style in ("bn", "gn", "sync_bn"))
    figure = lay_out(
        dataclasses.replace(plot, panels=(*plot.panels[:-1], dataclasses.replace(ours, lines=three))),
        is_narrow=is_narrow,
    )
    for axes in figure.axes:
        box = axes.get_window_extent()
        for line in axes.lines:
            if line.get_marker() in (None, "None", "", "_", "|"):
                continue
            places = axes.transData.transform(line.get_xydata())
            half = line.get_markersize() / 2 * figure.dpi / 72
            assert (places[:, 0] - half >= box.x0).all() and (places[:, 0] + half <= box.x1).all()


def test_curves_show_every_epoch_on_a_logarithmic_axis(results: dict[str, Result]) -> None:
    plot = EPOCH_FIGURE.plot(parse_exhibit(CURVES), findings(results))
    assert plot is not None and "The error axis is logarithmic." in plot.caption
    for panel in plot.panels:
        low, high = panel.y_limits
        assert panel.is_log and all(low < y < high for line in panel.lines for y in (*line.y, *line.high))
    perfect = {
        id_: dataclasses.replace(r, series=[{"epoch": 1, "val/top1_error": 0.0}])
        for id_, r in results.items()
    }
    zero = EPOCH_FIGURE.plot(parse_exhibit(CURVES), findings(perfect))
    assert zero is not None and not any(panel.is_log for panel in zero.panels)  # a logarithm has no 0


def test_lines_of_one_norm_take_its_colour_and_grow_stronger(results: dict[str, Result]) -> None:
    plot = EPOCH_FIGURE.plot(parse_exhibit(CURVES), findings(results))
    assert plot is not None
    for norm, panel in zip(("bn", "gn"), plot.panels, strict=True):
        assert {line.hue for line in panel.lines} == {norm}
        strengths = [line.strength for line in panel.lines]
        assert strengths == sorted(set(strengths)) and strengths[-1] == 1.0
