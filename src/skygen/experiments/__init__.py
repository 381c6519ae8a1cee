"""The experiments of the paper: files that say what is varied, cells that are trained once each, tables beside its own."""
