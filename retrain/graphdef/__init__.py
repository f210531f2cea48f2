"""Everything that knows GraphDef."""
