"""Proofs that base + delta = edited model."""
