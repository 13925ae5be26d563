"""Tables of results: rows that are pretrained, measured and compared over seeds."""
