"""Drawn looks: a photo redrawn at its own size, by formula."""
