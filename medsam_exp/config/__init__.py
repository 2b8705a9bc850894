"""The configuration: its schema, what is checked before a model is loaded, how objects are built from it."""
