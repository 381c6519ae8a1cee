"""Tile sets: the split of the sky, the cutting, the store on disk and what training reads from it."""
