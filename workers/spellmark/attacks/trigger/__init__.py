"""What a thief does to a stolen model to lose a trigger watermark."""
