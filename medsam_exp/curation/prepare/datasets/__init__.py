"""One file per dataset; the file's name is the command's.

A module's text says what is read and how it is split; its first line stands in the list of commands. Its function
`prepare` is the command: it prepares SRC to OUT and gives what it did, line by line.
"""
