"""The artefacts on disk: delta and ranking files, and outputs that appear whole or not at all."""
