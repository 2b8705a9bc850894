"""Commands of the shell and the local web app."""
