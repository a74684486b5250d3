"""The page: one file per language with all of a campaign's results, which opens anywhere."""
