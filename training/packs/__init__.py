"""Tune and measure style packs and profiles."""
