"""Image files: what they hold, and whether they can be used."""
