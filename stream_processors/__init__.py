"""Folds: topics in, one table each, facts and commands out, exactly once."""
