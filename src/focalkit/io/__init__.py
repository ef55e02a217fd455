"""Files in and out, for tune and diagnose alike."""
