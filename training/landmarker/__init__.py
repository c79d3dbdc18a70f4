"""The landmarker: its data, its crops, its losses, its training and its measurement."""
