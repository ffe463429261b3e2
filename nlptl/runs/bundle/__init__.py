"""Bundles of a run: its classifier with the code that predicts and serves it, without torch."""
