"""Train the generator: `train.py` reads downward, each small network has a folder of its own."""
