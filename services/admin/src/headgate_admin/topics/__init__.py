"""``headgate topics``: the cluster's topics as their contracts want them."""
