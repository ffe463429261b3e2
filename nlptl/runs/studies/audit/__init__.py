"""Audit of data: what is wrong in the labels and the texts, and what to do about it."""
