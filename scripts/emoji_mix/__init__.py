"""models/emoji-mix-64: emoji that mix. What it is taught, how it is trained, how it is judged."""
