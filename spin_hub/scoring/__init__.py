"""Scoring: a model and examples become the most important weights of every target matrix."""
