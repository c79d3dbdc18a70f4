"""Train the network that moves features by the change of a code."""
