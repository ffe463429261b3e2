"""From a spreadsheet to a classifier: what `nlptl start` reads, judges, trains and writes."""
