"""Everything that is asked of the database, one module a subject."""
