"""Codes: layer groups, mixing, truncation, directions and how they are found, editing and refining."""
