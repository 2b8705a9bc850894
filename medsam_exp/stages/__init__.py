"""The stages of the pipeline: their table, what each is given, and one module for each."""
