"""Arrays in, numbers out: metrics of one scored test, its curves, and what many of them come to."""
