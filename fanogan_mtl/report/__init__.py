"""The report: recorded comparisons in, one page that answers the study's questions out. Knows nothing of MLflow."""
