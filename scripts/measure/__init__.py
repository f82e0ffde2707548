"""What docs/ tells in numbers is measured here."""
