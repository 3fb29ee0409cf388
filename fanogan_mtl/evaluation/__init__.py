"""Arrays in, numbers out: metrics of one scored test, its curves, and summaries over many tests."""
