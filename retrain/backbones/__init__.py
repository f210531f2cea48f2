"""The networks whose bottlenecks are trained on: what they are called, where their files come from, how they are run."""
