"""What the chart's Jobs do once: things that a template cannot, because GitOps tools render it anew each time."""
