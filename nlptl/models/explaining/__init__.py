"""What the words of a text contribute to the logits of a classifier."""
