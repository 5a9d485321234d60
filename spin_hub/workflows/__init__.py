"""One verb a file, as on the command line: each wires the parts that it needs."""
