"""`planton check`, and what a plan tries out by itself."""
