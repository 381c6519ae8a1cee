"""What operators read: metrics, health, the quality of what is served, and the thread that watches."""
