"""What a thief does, to measure what a protection is worth."""
