"""Engines: where the tasks of a command run, in this process, in others, or on a Ray cluster."""
