"""What a release is made of: one version, notes, the chart with digests; and a check of all that needs no registry."""
