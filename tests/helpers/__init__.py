"""What several tests share: draws, critics and networks known by hand, and the oracle."""
