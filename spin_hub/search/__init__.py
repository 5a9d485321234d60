"""p and q found by trying edits out."""
