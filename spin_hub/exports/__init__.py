"""Forms in which an edit goes beside its base or into it."""
