"""What draws: terminal tables, sentences, pictures and the page. Nothing is computed here."""
