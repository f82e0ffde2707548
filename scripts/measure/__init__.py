"""What docs/ and README.md tell in numbers is measured here."""
