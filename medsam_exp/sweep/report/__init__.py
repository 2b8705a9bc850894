"""The report of a sweep: one page; the scores of many images lie beside it."""
