"""Cells (one training each), the grid that says which, and their execution on Dask."""
