"""Procedurally drawn scans with lesions, true masks and truthful captions.

Drawn scans stand in for patients where none may be used: demo, tests, and training of the embedded small
networks. They carry no medical evidence.
"""

GENERATOR_VERSION = "3"
"""Raise it when any drawing or caption changes, and retrain the embedded networks; part of every digest."""
DRAWN = "drawn scan"
"""How the identities of drawn scans begin."""
