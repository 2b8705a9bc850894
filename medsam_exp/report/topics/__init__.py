"""What a run found, by topic: each module gathers its results and says them as sections for console and page."""
