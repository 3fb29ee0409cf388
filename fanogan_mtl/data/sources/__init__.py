"""One module per kind of source: where its images or vectors come from, and how they are read."""
