"""The segmenter: its data, what disturbs it, its training and its measurement."""
