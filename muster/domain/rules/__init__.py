"""The embedded generator: what agents did and said, into observations, by rules.

`observing` is the door for events, `summary` for a session. An event is read by `reading`; what was said is told by
`talk`, what programs recorded by `records`, what was done by `work`, and what is open at the end by `unfinished`.
Every other module knows one thing, and says in its first line which.
"""
