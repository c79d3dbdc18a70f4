"""Low-rank changes of weights: style packs and profiles of one person, their files and tuning."""
