"""Labelled files, written and read back; parquet with pictures; post-processing."""
