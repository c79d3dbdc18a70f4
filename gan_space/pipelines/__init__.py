"""What users call: from seeds, photos and profiles to labelled pictures."""
