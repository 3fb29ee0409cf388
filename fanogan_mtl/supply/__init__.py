"""What runs need besides their cells (extractors, features, workers elsewhere), and models made of their results."""
