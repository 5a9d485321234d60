"""The command line: parse, call a workflow, print. One verb a file."""
