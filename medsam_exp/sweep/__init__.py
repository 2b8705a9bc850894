"""What came out of many runs: one table, pivot tables with tests, one report."""
