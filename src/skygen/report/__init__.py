"""What people read of a comparison: text, tables, charts and a page, and the files that DVC shows."""
