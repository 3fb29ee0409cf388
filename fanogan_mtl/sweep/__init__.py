"""Cells (one training each), which of them a comparison has, and their execution on Dask."""
