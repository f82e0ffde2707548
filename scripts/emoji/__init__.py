"""How models/emoji-64 is trained and evaluated."""
