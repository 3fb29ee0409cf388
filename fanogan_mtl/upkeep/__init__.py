"""What lies in a data folder, and pruning it."""
