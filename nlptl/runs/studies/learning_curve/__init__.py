"""Learning curve of a chain: its score against the number of labelled texts, and what more of them would bring."""
