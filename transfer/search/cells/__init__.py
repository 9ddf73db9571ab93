"""Search for the topology of cells: the table of what every cell reaches, and the supernet of all of them."""
