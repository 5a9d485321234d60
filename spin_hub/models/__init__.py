"""A model in memory, through transformers."""
