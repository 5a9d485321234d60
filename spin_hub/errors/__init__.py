"""Typed errors: each class is one thing that can go wrong, its sentence, and what to do about it.

Facts are given as keyword arguments and stay readable as ``error.facts``; the command line prints the
sentence and the hint, with the exit code of the class.
"""
