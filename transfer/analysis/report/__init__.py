"""The report of one finished search."""
