"""One module per entry point, its story from top to bottom. Only these know the sweep and the tracking both."""
