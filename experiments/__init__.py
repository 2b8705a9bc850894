"""One folder per table or figure: its question, what was measured, and the command that measures it again."""
