"""Speed, measured: each module prints a table with hardware, threads, malloc settings and commit."""
