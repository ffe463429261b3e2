"""Refresh of a run: new labels are screened, the pipeline is trained again, and the better classifier is used."""
