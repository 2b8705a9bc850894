"""Where the text of an image comes from: one file per source."""
