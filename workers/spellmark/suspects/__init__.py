"""How a suspect model is asked: one file a protocol. Import the protocol you need by its file."""
