"""Tests of planton.manifest."""
