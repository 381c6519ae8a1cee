"""Training: the mathematics of a step, the loop, and the state that a resume needs."""
