"""The experiments of the paper: files say what is varied, cells are trained once each, tables stand beside its own."""
