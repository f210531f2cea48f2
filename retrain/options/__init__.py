"""The options of each stage: a field is a flag."""
