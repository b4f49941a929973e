"""What a visitor sees who has done nothing yet: finished examples, which are kept with the app."""
