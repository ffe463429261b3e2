"""Comparison of arms: regimes of one chain, whole pipelines, or finished runs, on the same texts."""
