"""The first tab: one photo, every look on this very face, one thumb."""
