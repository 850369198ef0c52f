"""A service that hears sounds over HTTP."""
