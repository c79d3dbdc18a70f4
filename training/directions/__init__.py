"""Fit and measure the directions of a generator."""
