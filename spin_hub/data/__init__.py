"""Rows from sources, examples from rows."""
