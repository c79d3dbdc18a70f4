"""Tab "New sliders": directions of a generator, found, looked at, named and kept."""
