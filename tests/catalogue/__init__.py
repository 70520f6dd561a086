"""Tests of the catalogue of an archive."""
