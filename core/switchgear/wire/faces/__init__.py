"""Each wire as conversations: a `Face` for each, and the view of them that policies get."""
