"""Word vectors: tokenizer, vocabulary and corpus of ids, training engines, formats, quality checks."""
