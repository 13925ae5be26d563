"""Steps of an experiment: each a user's command in a folder of its own, run once, and resumed."""
