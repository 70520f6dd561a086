"""What is in an archive: base backups, WAL, timelines, and the times to which a restore can go. Only reads."""
