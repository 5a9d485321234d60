"""What an edit does, one metric a file."""
