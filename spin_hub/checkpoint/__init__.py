"""A model folder as files: where a tensor's bytes lie, copies with bytes changed, digests."""
