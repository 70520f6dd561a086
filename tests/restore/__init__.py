"""Restores by a real PostgreSQL, out of a real object store."""
