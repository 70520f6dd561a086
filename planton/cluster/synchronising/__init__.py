"""`sync-credentials`: copies of Secrets follow what they were made from."""
