"""Runs, results, statistics and drawing. Imports no learning library."""
