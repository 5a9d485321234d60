"""What an edit does to a model, measured: one metric a file."""
