"""Behaviour of a run's classifier beyond its accuracy: on changed texts, and on parts of its texts."""
