"""Facts of a run for its report; `gathering.gather` reads them from the run's folder."""
