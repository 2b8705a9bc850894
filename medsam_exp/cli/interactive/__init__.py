"""One image and one text at a time, on the pipeline's own code path: for the shell and for the app."""
