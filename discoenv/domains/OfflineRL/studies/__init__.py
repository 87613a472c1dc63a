"""What methods of OfflineRL reach, and how fast it trains."""
