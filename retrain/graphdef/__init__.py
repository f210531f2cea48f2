"""Reading, rewriting and running of GraphDefs, and the metadata in them."""
