"""What the pipeline costs: calculated from measured figures and list prices, and what it has really spent."""
