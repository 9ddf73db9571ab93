"""What checks the toolkit itself: speed of searching and training, growth, start-up, where time goes."""
