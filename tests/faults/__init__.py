"""Something dies in the middle of a running fleet."""
