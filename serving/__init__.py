"""Load the registered models and score customers with them."""
