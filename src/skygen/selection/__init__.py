"""Which generator is best: recipes over their seeds, the champion of a set, and who takes its place."""
