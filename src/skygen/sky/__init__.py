"""Frames and the physics of the sky: identity, reading, simulation, registration, noise, detection, stretch."""
