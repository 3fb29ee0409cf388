"""What runs need beside their cells, and what they leave: extractors, features, workers elsewhere, models."""
