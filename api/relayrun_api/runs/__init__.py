"""Runs, on threads and without: started, followed, cancelled."""
