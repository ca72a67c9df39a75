"""The Helm chart: lint, schemas, and what its switches do."""
