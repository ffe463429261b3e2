"""From a YAML file to a checked chain to a run folder."""
