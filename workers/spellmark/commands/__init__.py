"""The commands of `spellmark`, a module each. What takes long to load is imported when it runs."""

OK, REFUSED, WRONG_USE = 0, 1, 2
