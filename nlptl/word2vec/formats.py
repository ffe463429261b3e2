"""Old name of `nlptl.models.word_vector_files.reading`."""

from nlptl.models.word_vector_files.reading import read_vectors

__all__ = ["read_vectors"]
