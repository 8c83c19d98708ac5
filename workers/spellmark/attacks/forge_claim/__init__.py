"""The cheating accuser: every kind of false claim, tried against the code that judges claims."""
