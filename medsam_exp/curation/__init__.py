"""Datasets before any run: preparing downloads, checking data quality, writing masks back to scans."""
