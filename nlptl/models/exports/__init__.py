"""Trained encoders as graphs and weights that run without torch."""
