"""Hydra takes launchers from the name space `hydra_plugins` only; so here they are."""
