"""Formats of others: foreign checkpoints, ONNX, the Space, cards and JSON of model and pack folders."""
