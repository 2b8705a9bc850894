"""Leaderboard: saliency methods on four kinds of drawn scans, with their times."""
