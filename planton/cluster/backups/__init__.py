"""Archives and base backups of databases that are there, and of those that are gone."""
