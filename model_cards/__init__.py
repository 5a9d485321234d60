"""Model cards: READMEs with metadata for the Hub, made from records."""
