"""The error that means bad input."""


class UserError(Exception):
    """Bad input, said in one sentence: what is wrong, where (file, key, sample id), how to mend it.

    Example:
        >>> from medsam_exp import InfoNCE, UserError
        >>> try:
        ...     InfoNCE(temperature=0)
        ... except UserError as error:
        ...     print(error)
        loss.temperature is 0, but a temperature must be positive.
    """
