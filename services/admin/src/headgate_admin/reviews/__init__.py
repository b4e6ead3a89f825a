"""What people are asked to see, and their answers."""
