"""Routes, one file a resource: they read the request, ask a service, and write the answer."""
