"""The adversarial game: networks, dropout rules, losses, and the recipes that combine them."""
