"""Dead letters: what could not be processed, and putting it back."""
