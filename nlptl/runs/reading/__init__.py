"""What stands in a run, read again: its texts, and what its classifier says of those that it did not learn from."""
