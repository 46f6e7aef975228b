"""From finished runs to results/: tables, figures, an index and one page, each number computed from results/runs."""

from gnexp.report.write import Rendered, check, render

__all__ = ["Rendered", "check", "render"]
