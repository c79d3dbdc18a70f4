"""Tab "Personalised": a face of one's own, and what is different about it."""
