"""What a verdict rests on: exact tests, and the transcript from which anyone can redo them."""
