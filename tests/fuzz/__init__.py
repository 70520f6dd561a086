"""Coverage-guided fuzzing of whatever planton reads that others wrote: `python -m tests.fuzz`."""
