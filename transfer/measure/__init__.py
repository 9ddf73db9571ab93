"""Time and memory, measured so that they can be trusted: networks side by side, paired ratios, intervals."""
