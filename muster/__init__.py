"""Muster runs fleets of AI agents durably."""
