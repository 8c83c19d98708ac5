from tests.spellmark.suspects.local_servers import serve, stopped

__all__ = ["serve", "stopped"]
