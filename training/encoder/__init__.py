"""Train and measure the network from a face to its code and features."""
