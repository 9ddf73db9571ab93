"""A search from end to end: from a search config to a registered card (EAN, Algorithm 1)."""
