"""What stands around the app: its mount, connections, limits, keys, instrumentation and static files."""
