"""LightningModules and their data: everything that runs a network under a Trainer."""
