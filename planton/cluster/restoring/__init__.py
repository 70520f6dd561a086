"""What is looked at before a restore, and what came of it."""
