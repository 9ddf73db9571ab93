"""A width search from end to end: training at full width, search, removal, fine-tuning, a card."""
