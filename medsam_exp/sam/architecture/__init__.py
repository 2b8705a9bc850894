"""The promptable networks that can be chosen, a module each: what is published of them, and how they are built."""
