"""Generation of environments: levels in which an agent behaves in as many ways as possible."""
