"""A fitted network's features as an ONNX graph: how it is made, and how it is run without PyTorch."""
