"""Arrays in, numbers out: metrics, curves, and statistics over cells."""
