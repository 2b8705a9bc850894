"""One file per dataset; the file's name is the command's.

A module's text says what is read and how it is split; its first line stands in the list of commands. It offers
`add_options(parser)` and `prepare(given) -> Iterable[str]`, which prepares `given.source` to `given.out` and says what
it did, line by line. Its `FOLDER` is the place below the folder of data, where that is not its own name.
"""
