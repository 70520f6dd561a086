"""Requests to the API server: who asks, how often, what is believed, and in what words a failure is told."""
