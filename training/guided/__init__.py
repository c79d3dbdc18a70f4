"""Train and measure the network that enlarges a drawing beside its photo."""
