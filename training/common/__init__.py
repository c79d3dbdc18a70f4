"""What all trainings share: data, order, loop of the small networks, checkpoints, claim of a folder, command line."""
