"""Train and measure the network that reads attributes of faces."""
