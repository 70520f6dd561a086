"""Tests of planton.cluster, most of them against a real API server."""
