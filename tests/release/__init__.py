"""What a release is made of, as far as it needs no registry and no cluster."""
