"""What other programs write of agents and their work, each in a shape of its own, as `parts`.

`documents` is the door for JSON, `terminal` for what a coding agent shows in a terminal.
"""
