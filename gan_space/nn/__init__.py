"""Layers: FIR resampling, equalised learning rates, modulated convolution, precision."""
