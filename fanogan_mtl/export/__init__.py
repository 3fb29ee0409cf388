"""Heads of a served model as one ONNX file, for programs that have no Python."""
