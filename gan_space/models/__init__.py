"""The networks, and the strict loading that all of them share."""
