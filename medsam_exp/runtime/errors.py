"""The error that means bad input."""


class UserError(Exception):
    """Bad input, said in one sentence: what is wrong, where (file, key, sample id), how to mend it."""
