from skygen.tracking.curves import draw_curves

HISTORY = [
    {
        "images_seen": 32.0 * step,
        "iteration": step,
        "discriminator_loss": 1 / step,
        "generator_loss": float("nan") if step == 2 else 2 / step,
        "images_per_second": 9.0,
        "validation_score": 10 / step,
        "validation_peaks": 0.5,
    }
    for step in (1, 2, 3)
]


def test_losses_share_a_panel_and_every_validation_metric_has_one():
    panels = draw_curves(HISTORY).axes

    assert [panel.get_title() for panel in panels] == ["losses", "validation score", "validation peaks"]
    assert [len(panel.lines) for panel in panels] == [2, 1, 1]
    assert list(panels[1].lines[0].get_xdata()) == [32.0, 64.0, 96.0]
    assert list(panels[1].lines[0].get_ydata()) == [10.0, 5.0, 10 / 3]


def test_no_history_is_an_empty_panel():
    (panel,) = draw_curves([]).axes

    assert [len(line.get_xdata()) for line in panel.lines] == [0, 0]
