"""Scores, intervals, calibration, hold-outs, duplicates and domain shift."""
