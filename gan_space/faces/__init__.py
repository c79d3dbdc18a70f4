"""Faces as geometry: find them in a photo, cut them out in a fixed frame, put them back. Nothing here learns."""
