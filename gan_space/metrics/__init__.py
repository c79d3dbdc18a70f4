"""How good a generator is: features, Fréchet and kernel distance, precision and recall, copies, diversity."""
