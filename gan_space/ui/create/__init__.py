"""Tab "Create a look": a photo in a look with every setting, many photos at once, and looks of one's own."""
