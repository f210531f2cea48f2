"""Classifiers in other forms than a frozen graph, opened and run: a runtime each."""
