"""What was said: sessions and their messages."""
