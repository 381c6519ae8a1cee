"""Metrics: pure functions of arrays of tiles [N, bands, H, W] in nmgy; `table` lists them, a row a metric."""
