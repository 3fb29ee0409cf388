"""The only room that imports mlflow for runs: sweeps, comparisons, cells, and what is done already."""
