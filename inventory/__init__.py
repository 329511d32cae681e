"""The `inventory` command: puts the rooms together and runs them."""
