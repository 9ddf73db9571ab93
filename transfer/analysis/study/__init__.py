"""The page on what supernets' rankings are worth: tables, searches and trainings from scratch side by side."""
