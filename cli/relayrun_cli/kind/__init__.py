"""The cluster of `relayrun up`: one of kind's for each project, with Relayrun in it."""
