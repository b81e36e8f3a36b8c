"""Pure: types, states, arithmetic. No I/O. May import: the standard library, pydantic."""
