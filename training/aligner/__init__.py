"""Train and measure the network that finds eyes and mouth."""
