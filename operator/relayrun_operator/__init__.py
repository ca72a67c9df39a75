"""The engine that places runs on runners, and the worlds it acts on."""
