"""Tab "Explore": portraits from seeds, mixed, and morphed into each other."""
