"""How well memory finds what it was told: a set of questions, and the command that asks them."""
