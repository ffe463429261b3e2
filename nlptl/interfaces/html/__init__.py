"""Pages of HTML; `run_report.write_report` writes that of a run."""
