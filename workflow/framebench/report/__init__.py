"""The page: one file per language that holds all of a campaign and opens anywhere, from what the campaign left."""
