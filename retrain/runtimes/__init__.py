"""Classifiers in other formats than a frozen graph: opening and running them, a module for each runtime."""
