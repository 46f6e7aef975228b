"""What gnexp eval prints of the scores that its job has found."""

import pytest

from gnexp.cli import eval as verb


@pytest.mark.parametrize(
    ("scores", "lines"),
    [
        (
            {("worker0", "top1_error"): 23.456, ("precise", "top1_error"): 3.0},
            ["eval_stats  val/top1_error, %", "worker0     23.46", "precise     3.00"],
        ),
        (
            {
                ("worker0", "box_ap"): 40.3, ("worker0", "mask_ap"): 35.7,
                ("mean", "box_ap"): 40.0, ("mean", "mask_ap"): 5.0,
            },
            ["%                      worker0      mean", "val/box_ap               40.30     40.00",
             "val/mask_ap              35.70      5.00"],
        ),
    ],
    ids=["one", "many"],
)  # fmt: skip
def test_a_row_for_each_of_the_statistics_or_of_the_scores(
    capsys: pytest.CaptureFixture[str], scores: dict[tuple[str, str], float], lines: list[str]
) -> None:
    verb._print_scores(scores)
    assert capsys.readouterr().out.splitlines() == lines
