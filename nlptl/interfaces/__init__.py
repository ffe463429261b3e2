"""Command line and printed results. No other room prints or exits."""
