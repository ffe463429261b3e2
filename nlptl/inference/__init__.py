"""Classifiers without torch: what exports are, and how they run."""
