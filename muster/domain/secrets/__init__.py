"""Which parts of a text are taken out before anything is stored. `muster/domain/privacy.py` is the door."""
