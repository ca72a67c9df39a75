"""Relayrun as people install it: the chart, on a kind cluster of one control plane and two workers."""
