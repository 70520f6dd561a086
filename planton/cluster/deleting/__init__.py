"""Databases and operators go: what is decided, what is refused, what stays behind."""
