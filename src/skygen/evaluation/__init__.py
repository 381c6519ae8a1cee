"""From generated and real tiles to the comparison: controls, intervals, scoring, comparison, figures, report."""
