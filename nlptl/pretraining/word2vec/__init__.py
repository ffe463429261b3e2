"""Word vectors: tokenizer, corpus, training engines, quality."""
