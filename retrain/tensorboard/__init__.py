"""TensorBoard: event files, and what is shown of a run beyond the curves: pictures, tables, the Projector, HParams."""
