"""What the tool writes and reads back."""
