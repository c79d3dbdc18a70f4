"""Looks: small recipes of shape, skin, make-up, drawing and grade, applied to a photo at its own size."""
