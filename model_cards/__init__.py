"""Model cards: a record becomes a README for people and metadata for the Hub."""
