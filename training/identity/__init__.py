"""Train and measure the network that tells people apart, see docs/identity.md."""
