"""The words themselves as an expert: n-grams of words and characters under a linear head."""
