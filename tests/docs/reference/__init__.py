"""Pages of docs/reference that are made of what they describe: `make reference` writes them."""
