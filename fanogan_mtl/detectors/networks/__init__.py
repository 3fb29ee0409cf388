"""The networks that detectors train, and their gradients by hand."""
